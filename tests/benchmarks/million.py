"""A million rows into an empty catalogue: how long they take, beside a bare loop, and the worker's growth against a thousand.

Products with their variants from a CSV, and a plain record from a CSV and from JSON Lines.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.benchmarks.ground import Ground
from tests.benchmarks.importing import Timed, bare_creates, print_phase, put, timed_import
from tests.benchmarks.imports import import_products
from tests.benchmarks.stock import stock_csv, stock_jsonl
from tests.engine.installation import Installation

__all__ = ["run"]

FEW: Final = 1_000
MANY: Final = 1_000_000


async def run(ground: Ground) -> None:
    for what, (collection, load) in _IMPORTS.items():
        print(f"\n{MANY:,} rows of {what}, into {ground.database}", flush=True)
        async with ground.installation() as installation:
            few = await load(installation, FEW)
        async with ground.installation() as installation:
            many = await load(installation, MANY)
            took, growth = many.plan + many.apply, many.peak - few.peak
            print(f"    in all        {took:8,.0f} s        {many.cpu:,.0f} s of the worker's CPU (aim: under 300 s)")
            print(
                f"    memory        {many.peak / 2**20:8,.0f} MiB      growth {growth / 2**20:.0f} MiB (aim: under 50)"
            )
            print_phase("create", MANY, many, await bare_creates(installation, collection))


async def _stock_csv(installation: Installation, rows: int) -> Timed:
    key = await put(installation.folder, "stock.csv", stock_csv(rows))
    return await timed_import(installation, "stock-import", key)


async def _stock_jsonl(installation: Installation, rows: int) -> Timed:
    key = await put(installation.folder, "stock.jsonl", stock_jsonl(rows))
    return await timed_import(installation, "stock-import", key)


_IMPORTS: Final[Mapping[str, tuple[str, Callable[[Installation, int], Awaitable[Timed]]]]] = {
    "products, CSV": ("products", import_products),
    "a record, CSV": ("stock", _stock_csv),
    "a record, JSON Lines": ("stock", _stock_jsonl),
}
"""Each with the collection that it fills."""

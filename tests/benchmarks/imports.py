"""Product imports: rows per second of plan and application, beside a bare loop; and the memory of the worker.

The bare loop inserts the very documents that the import has left, with the same driver, the same write concern and in
the same bulk size, into a collection with the same indexes: what no import can be faster than.
"""

from __future__ import annotations

from typing import Final

from tests.benchmarks.ground import Ground
from tests.benchmarks.importing import Timed, bare_creates, print_phase, timed_import
from tests.engine.installation import Installation
from tests.imports.catalogue import put_sample, seed_catalogue

__all__ = ["import_products", "run"]

ROWS: Final = 20_000
FEW: Final = 1_000
MANY: Final = 200_000


async def run(ground: Ground) -> None:
    print(f"\nProduct import of {ROWS:,} rows, into {ground.database}")
    async with ground.installation() as installation:
        timed = await import_products(installation, ROWS)
        print_phase("create", ROWS, timed, await bare_creates(installation, "products"))
    print("  Memory of the worker, at its peak")
    peaks = []
    for rows in (FEW, MANY):
        async with ground.installation() as installation:
            peaks.append((await import_products(installation, rows)).peak)
            print(f"    {rows:8,} rows  {peaks[-1] / 2**20:6.0f} MiB")
    print(f"    growth         {(peaks[1] - peaks[0]) / 2**20:6.0f} MiB (aim: under 50)")


async def import_products(installation: Installation, rows: int) -> Timed:
    await seed_catalogue(installation)
    return await timed_import(
        installation, "product-import", await put_sample(installation.folder, "sample.csv", rows=rows)
    )

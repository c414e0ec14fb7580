"""Imports of a declared record: rows per second of plan and application, beside a bare loop; and the worker's memory.

The bare loop writes the very documents that the import has left, with the same driver, the same write concern and in
the same bulk size, into a collection with the same indexes: what no import can be faster than. For updates it sets the
same fields by `_id`.
"""

from __future__ import annotations

import time
from typing import Final

from pymongo import UpdateOne

from tests.benchmarks.ground import Ground
from tests.benchmarks.importing import BULK, DURABLE, Timed, bare_creates, print_phase, put, timed_import
from tests.benchmarks.stock import stock_csv
from tests.engine.installation import Installation

__all__ = ["run"]

ROWS: Final = 50_000
FEW: Final = 1_000
MANY: Final = 1_000_000


async def run(ground: Ground) -> None:
    print(f"\nImport of {ROWS:,} records, into {ground.database}")
    async with ground.installation() as installation:
        timed = await _import(installation, ROWS)
        print_phase("create", ROWS, timed, await bare_creates(installation, "stock"))
        timed = await _import(installation, ROWS, added=1)
        print_phase("update", ROWS, timed, await _bare_updates(installation))
        timed = await _import(installation, ROWS, added=1)
        print(f"    unchanged     {ROWS / timed.plan:8,.0f} rows/s planned")
    print("  Memory of the worker, at its peak, while it plans")
    peaks = []
    for rows in (FEW, MANY):
        async with ground.installation() as installation:
            timed = await _import(installation, rows, applied=False)
            peaks.append(timed.peak)
            print(f"    {rows:9,} rows  {timed.peak / 2**20:6.0f} MiB, in {timed.plan:.0f} s")
    print(f"    growth          {(peaks[1] - peaks[0]) / 2**20:6.0f} MiB (aim: under 50)")


async def _import(installation: Installation, rows: int, *, added: int = 0, applied: bool = True) -> Timed:
    key = await put(installation.folder, "stock.csv", stock_csv(rows, added=added))
    return await timed_import(installation, "stock-import", key, applied=applied)


async def _bare_updates(installation: Installation) -> float:
    """Seconds to set what the import has set in the documents of the bare loop, in bulk."""
    documents = await installation.catalog["stock"].find({}).to_list(None)
    bare = installation.catalog.get_collection("bare", write_concern=DURABLE)
    started = time.perf_counter()
    for first in range(0, len(documents), BULK):
        requests = [
            UpdateOne(
                {"_id": one["_id"]},
                {"$set": {name: one[name] for name in ("quantity", "revision", "updated_at")}},
            )
            for one in documents[first : first + BULK]
        ]
        await bare.bulk_write(requests, ordered=False)
    return time.perf_counter() - started

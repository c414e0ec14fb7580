"""Product imports: rows per second of plan and application, beside a bare loop; and the memory of the worker.

The bare loop inserts the very documents that the import has left, with the same driver, the same write concern and in
the same bulk size, into a collection with the same indexes: what no import can be faster than.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from pymongo import IndexModel, WriteConcern

from tests.benchmarks.ground import Ground, peak_memory
from tests.engine.installation import Installation
from tests.imports.catalogue import put_sample, seed_catalogue

__all__ = ["run"]

ROWS: Final = 20_000
FEW: Final = 1_000
MANY: Final = 200_000
BULK: Final = 500


async def run(ground: Ground) -> None:
    print(f"\nProduct import of {ROWS:,} rows, into {ground.database}")
    async with ground.installation() as installation:
        plan, apply, _ = await _import(installation, ROWS)
        bare = await _bare(installation)
        print(f"    bare loop     {ROWS / bare:8,.0f} rows/s")
        print(
            f"    apply         {ROWS / apply:8,.0f} rows/s   {bare / apply:4.0%} of the bare loop (aim: 60 % or more)"
        )
        print(
            f"    plan          {ROWS / plan:8,.0f} rows/s   {plan / apply:4.2f} of the time to apply (aim: 2 or less)"
        )
    print("  Memory of the worker, at its peak")
    peaks = []
    for rows in (FEW, MANY):
        async with ground.installation() as installation:
            _, _, peak = await _import(installation, rows)
            peaks.append(peak)
            print(f"    {rows:8,} rows  {peak / 2**20:6.0f} MiB")
    print(f"    growth         {(peaks[1] - peaks[0]) / 2**20:6.0f} MiB (aim: under 50)")


async def _import(installation: Installation, rows: int) -> tuple[float, float, int]:
    """Seconds to plan, seconds to apply, and the worker's peak of memory in bytes; in a worker of its own."""
    await seed_catalogue(installation)
    key = await put_sample(installation.folder, "sample.csv", rows=rows)
    async with installation.worker_process(lease_seconds=30, log_level="warning") as worker:
        job_id = await installation.create("product-import", fileKey=key)
        done = await installation.followed.event("batch.completed", job_id, patience=3600)
        lifecycle = {event.type: event for event in installation.followed.lifecycle(job_id)}
        times = [_time(lifecycle[name].time) for name in ("batch.created", "batch.processing", "batch.completed")]
        assert done.data["advancement_count"] == done.data["count"]
        return times[1] - times[0], times[2] - times[1], peak_memory(worker.pid)


def _time(at: datetime | None) -> float:
    assert at is not None
    return at.timestamp()


async def _bare(installation: Installation) -> float:
    """Seconds to insert what the import has left, in bulk."""
    imported = installation.catalog["products"]
    documents = await imported.find({}).to_list(None)
    bare = installation.catalog.get_collection("bare", write_concern=WriteConcern(w="majority", j=True))
    indexes = [
        IndexModel(list(index["key"]), **{option: index[option] for option in ("unique", "sparse") if option in index})
        for name, index in (await imported.index_information()).items()
        if name != "_id_"
    ]
    await bare.create_indexes(indexes)
    started = time.perf_counter()
    for first in range(0, len(documents), BULK):
        await bare.insert_many(documents[first : first + BULK], ordered=False)
    return time.perf_counter() - started

"""Imports of a declared record: rows per second of plan and application, beside a bare loop; and the worker's memory.

The bare loop writes the very documents that the import has left, with the same driver, the same write concern and in
the same bulk size, into a collection with the same indexes: what no import can be faster than. For updates it sets the
same fields by `_id`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pymongo import IndexModel, UpdateOne, WriteConcern

from batchbus_service.storage.files import FileStore
from tests.benchmarks.ground import Ground, peak_memory
from tests.engine.installation import Installation

__all__ = ["run"]

ROWS: Final = 50_000
FEW: Final = 1_000
MANY: Final = 1_000_000
BULK: Final = 250
_DURABLE: Final = WriteConcern(w="majority", j=True)


async def run(ground: Ground) -> None:
    print(f"\nImport of {ROWS:,} records, into {ground.database}")
    async with ground.installation() as installation:
        plan, apply, _ = await _import(installation, _csv(ROWS))
        bare = await _bare_creates(installation)
        _print("create", plan, apply, bare)
        plan, apply, _ = await _import(installation, _csv(ROWS, added=1))
        bare = await _bare_updates(installation)
        _print("update", plan, apply, bare)
        plan, _, _ = await _import(installation, _csv(ROWS, added=1))
        print(f"    unchanged     {ROWS / plan:8,.0f} rows/s planned")
    print("  Memory of the worker, at its peak, while it plans")
    peaks = []
    for rows in (FEW, MANY):
        async with ground.installation() as installation:
            took, _, peak = await _import(installation, _csv(rows), applied=False)
            peaks.append(peak)
            print(f"    {rows:9,} rows  {peak / 2**20:6.0f} MiB, in {took:.0f} s")
    print(f"    growth          {(peaks[1] - peaks[0]) / 2**20:6.0f} MiB (aim: under 50)")


def _print(what: str, plan: float, apply: float, bare: float) -> None:
    print(f"    bare {what}   {ROWS / bare:8,.0f} rows/s")
    print(f"    {what}        {ROWS / apply:8,.0f} rows/s   {bare / apply:4.0%} of the bare loop (aim: 80 % or more)")
    print(f"    plan          {ROWS / plan:8,.0f} rows/s   {plan / apply:4.2f} of the time to apply (aim: 0.4 or less)")


def _csv(rows: int, *, added: int = 0) -> Iterator[bytes]:
    """The lines of a file; `added` is added to every quantity."""
    yield b"SKU,Title,Quantity,Price,Available,Tags\n"
    for first in range(0, rows, 1000):
        yield "".join(
            f'SKU-{n:08},"Stool no. {n}, oak",{n % 1000 + added},{n % 500}.{n % 100:02},TRUE,"wood,seat"\n'
            for n in range(first, min(first + 1000, rows))
        ).encode()


async def _import(
    installation: Installation, lines: Iterator[bytes], *, applied: bool = True
) -> tuple[float, float, int]:
    """Seconds to plan, seconds to apply, and the worker's peak of memory in bytes; in a worker of its own."""
    key = await _put(installation.folder, lines)
    async with installation.worker_process(lease_seconds=30, log_level="warning") as worker:
        job_id = await installation.create("stock-import", dry_run=not applied, fileKey=key)
        await installation.followed.event(
            "batch.completed" if applied else "batch.pre_processed", job_id, patience=3600
        )
        at = {event.type: event.time for event in installation.followed.lifecycle(job_id)}
        times = [
            _seconds(at.get(name))
            for name in ("batch.created", "batch.pre_processed", "batch.processing", "batch.completed")
        ]
        return times[1] - times[0], times[3] - times[2], peak_memory(worker.pid)


def _seconds(at: Any) -> float:
    return 0.0 if at is None else float(at.timestamp())


async def _put(folder: Path, lines: Iterator[bytes]) -> str:
    files = FileStore.open((folder / "files").absolute().as_uri())
    async with files.write("stock.csv") as file:
        for block in lines:
            await file.write(block)
    return "stock.csv"


async def _bare_creates(installation: Installation) -> float:
    """Seconds to insert what the import has left, in bulk."""
    imported = installation.catalog["stock"]
    documents = await imported.find({}).to_list(None)
    bare = installation.catalog.get_collection("bare", write_concern=_DURABLE)
    options = ("unique", "sparse", "partialFilterExpression")
    indexes = [
        IndexModel(list(index["key"]), **{option: index[option] for option in options if option in index})
        for name, index in (await imported.index_information()).items()
        if name != "_id_"
    ]
    await bare.create_indexes(indexes)
    started = time.perf_counter()
    for first in range(0, len(documents), BULK):
        await bare.insert_many(documents[first : first + BULK], ordered=False)
    return time.perf_counter() - started


async def _bare_updates(installation: Installation) -> float:
    """Seconds to set what the import has set in the documents of the bare loop, in bulk."""
    documents = await installation.catalog["stock"].find({}).to_list(None)
    bare = installation.catalog.get_collection("bare", write_concern=_DURABLE)
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

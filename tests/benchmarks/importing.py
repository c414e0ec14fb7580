"""What the benchmarks of imports share: an import in a worker of its own, and the bare loop that it is held against."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil
from pymongo import IndexModel, WriteConcern

from batchbus_service.storage.files import FileStore
from tests.benchmarks.ground import peak_memory
from tests.engine.installation import Installation

__all__ = ["BULK", "DURABLE", "Timed", "bare_creates", "print_phase", "put", "timed_import"]

BULK: Final = 250
"""Documents in one write, as an import makes them."""
DURABLE: Final = WriteConcern(w="majority", j=True)
_OPTIONS: Final = ("unique", "sparse", "partialFilterExpression")
"""Of an index, as far as the bare loop's collection is to have it."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long the phases of an import took, in seconds, and what its worker took."""

    plan: float
    apply: float
    """0 for one that was not applied."""
    cpu: float
    """Seconds of processor time of the worker, its start included. Another load on the machine changes them less than the
    other two."""
    peak: int
    """Bytes of memory."""


async def put(folder: Path, key: str, blocks: Iterable[bytes]) -> str:
    """A file in the file store of the installation in `folder`. Returns its key."""
    files = FileStore.open((folder / "files").absolute().as_uri())
    async with files.write(key) as file:
        for block in blocks:
            await file.write(block)
    return key


def print_phase(what: str, rows: int, timed: Timed, bare: float) -> None:
    """`bare`: the seconds that the bare loop took for what was applied."""
    print(f"    bare {what}   {rows / bare:8,.0f} rows/s")
    print(
        f"    {what}        {rows / timed.apply:8,.0f} rows/s   {bare / timed.apply:4.0%} of the bare loop "
        "(aim: 80 % or more)"
    )
    print(
        f"    plan          {rows / timed.plan:8,.0f} rows/s   {timed.plan / timed.apply:4.2f} of the time to apply "
        "(aim: 0.4 or less)"
    )


async def timed_import(installation: Installation, batch_type: str, key: str, *, applied: bool = True) -> Timed:
    """An import of a file, in a worker of its own."""
    async with installation.worker_process(lease_seconds=30, log_level="warning") as worker:
        job_id = await installation.create(batch_type, dry_run=not applied, fileKey=key)
        done = "batch.completed" if applied else "batch.pre_processed"
        await installation.followed.event(done, job_id, patience=7200)
        at = {event.type: event.time for event in installation.followed.lifecycle(job_id)}
        times = psutil.Process(worker.pid).cpu_times()
        return Timed(
            plan=_seconds(at.get("batch.pre_processed")) - _seconds(at.get("batch.created")),
            apply=_seconds(at.get("batch.completed")) - _seconds(at.get("batch.processing")),
            cpu=times.user + times.system,
            peak=peak_memory(worker.pid),
        )


def _seconds(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()


async def bare_creates(installation: Installation, collection: str) -> float:
    """Seconds to insert what an import has left in a collection, in bulk, into one with the same indexes."""
    imported = installation.catalog[collection]
    bare = installation.catalog.get_collection("bare", write_concern=DURABLE)
    indexes = [
        IndexModel(list(index["key"]), **{option: index[option] for option in _OPTIONS if option in index})
        for name, index in (await imported.index_information()).items()
        if name != "_id_"
    ]
    await bare.create_indexes(indexes)
    took = 0.0
    documents = imported.find({}, batch_size=BULK)
    while some := await documents.to_list(BULK):
        started = time.perf_counter()
        await bare.insert_many(some, ordered=False)
        took += time.perf_counter() - started
    return took

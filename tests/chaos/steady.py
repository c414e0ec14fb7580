"""Many jobs without a fault: each event once and in order, and memory and descriptors of the workers stay as they are."""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from batchbus_events.ids import new_job_id
from tests.chaos.faults import FAULTS
from tests.chaos.servers import Servers
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess

__all__ = ["steady"]

_AT_ONCE: Final = 200
"""Jobs that are asked for and not completed."""
_WORKERS: Final = 2
_MEASUREMENTS: Final = 40
_MORE_MEMORY: Final = 1.05
"""By how much the last quarter may have more than the second one, whose caches are full."""
_MORE_DESCRIPTORS: Final = 2


@dataclass(frozen=True, slots=True)
class _Measurement:
    """One worker at one time."""

    jobs: int
    """Completed by then, by all workers."""
    seconds: float
    worker: int
    memory: float
    """MiB that are resident."""
    descriptors: int
    threads: int


async def steady(jobs: int) -> bool:
    """Prints what was measured. Returns whether nothing was lost or doubled, and nothing grew.

    Raises `AssertionError` if a job's events were not in order, or an event was not as the catalogue says.
    """
    none = next(fault for fault in FAULTS if fault.name == "none")
    settings: dict[str, Any] = {"lease_seconds": 30, "log_level": "warning"}
    async with Servers.started() as servers, servers.installation(none) as (installation, _):
        async with AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(installation.worker_process(**settings)) for _ in range(_WORKERS)
            ]
            measurements = await _load(jobs, installation, workers)
        completed = await installation.database.jobs.count_documents({"status": "completed"})
        repeated = len(installation.followed.repeated)
    Console().print(_table(measurements))
    grown = _grown(measurements)
    print(f"{completed:,} of {jobs:,} jobs are completed; {repeated} events came twice; {'; '.join(grown) or 'flat'}")
    return completed == jobs and not repeated and not grown


async def _load(jobs: int, installation: Installation, workers: list[WorkerProcess]) -> list[_Measurement]:
    began, measurements, counts = time.monotonic(), list[_Measurement](), installation.followed.counts
    for number in range(1, jobs + 1):
        if number - counts["batch.completed"] > _AT_ONCE:
            await _completed(installation, number - _AT_ONCE)
        await installation.publish(installation.trigger("created", new_job_id(), type="noop"))
        if number % max(1, jobs // _MEASUREMENTS) == 0:
            measurements += _measured(workers, counts["batch.completed"], time.monotonic() - began)
    await _completed(installation, jobs)
    return [*measurements, *_measured(workers, counts["batch.completed"], time.monotonic() - began)]


async def _completed(installation: Installation, jobs: int) -> None:
    followed = installation.followed
    await followed.until(lambda: followed.counts["batch.completed"] >= jobs)


def _measured(workers: list[WorkerProcess], jobs: int, seconds: float) -> list[_Measurement]:
    found = []
    for number, worker in enumerate(workers, 1):
        process = psutil.Process(worker.pid)
        memory = process.memory_info().rss / 2**20
        found.append(_Measurement(jobs, seconds, number, memory, process.num_fds(), process.num_threads()))
        print(f"{jobs:,} jobs, {seconds:.0f} s, worker {number}: {memory:.1f} MiB, {found[-1].descriptors}", flush=True)
    return found


def _table(measurements: list[_Measurement]) -> Table:
    table = Table("jobs", "seconds", "worker", "memory", "descriptors", "threads")
    step = max(1, len(measurements) // _WORKERS // 10) * _WORKERS
    shown = [each for at in range(0, len(measurements), step) for each in measurements[at : at + _WORKERS]]
    for each in [*shown, *measurements[-_WORKERS:]]:
        row = (f"{each.jobs:,}", f"{each.seconds:.0f}", each.worker, f"{each.memory:.1f} MiB")
        table.add_row(*(str(value) for value in (*row, each.descriptors, each.threads)))
    return table


def _grown(measurements: list[_Measurement]) -> list[str]:
    """Sentences about what has more at the end than it had once it was warm."""
    grown = []
    for worker in range(1, _WORKERS + 1):
        mine = [each for each in measurements if each.worker == worker]
        quarter = len(mine) // 4
        warm, last = mine[quarter : 2 * quarter], mine[-quarter:]
        memory = [statistics.median(each.memory for each in part) for part in (warm, last)]
        descriptors = [statistics.median(each.descriptors for each in part) for part in (warm, last)]
        if memory[1] > _MORE_MEMORY * memory[0]:
            grown.append(f"worker {worker} has grown from {memory[0]:.1f} to {memory[1]:.1f} MiB")
        if descriptors[1] > descriptors[0] + _MORE_DESCRIPTORS:
            grown.append(f"worker {worker} has {descriptors[1]:g} descriptors open, and had {descriptors[0]:g}")
    return grown

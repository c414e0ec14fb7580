"""How long a job waits between the worker that had it and the next one: after SIGTERM, and after `kill -9`.

One worker stays, and has slots to spare; the other one, whose slots are full, is stopped or killed. Measured from outside,
by the events that a subscriber gets, and told as a ratio to the lease: after a kill, 1 is what it has to be at least.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import psutil

from batchbus_service.operations.service import Service
from batchbus_service.telemetry.logs import configure
from tests.benchmarks.ground import Ground
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess

__all__ = ["run"]

_LEASE: Final = 6.0
_SLOTS: Final = 4
_ROUNDS: Final = 5
_CHUNK: Final = 0.05
_MOST_JOBS: Final = 40


async def run(ground: Ground) -> None:
    configure(format="json", level="error")  # the worker that stays is in this process
    async with ground.installation() as installation, _staying(installation) as stays:
        fresh = [wait for _ in range(2) for wait in await _handed_over(installation, stays, kill=True)]
        stopped = [wait for _ in range(_ROUNDS) for wait in await _handed_over(installation, stays, kill=False)]
        while not stays.transitions.clock.trusted():  # noqa: ASYNC110 - a clock tells nobody
            await asyncio.sleep(1)  # it is asked again
        killed = [wait for _ in range(_ROUNDS) for wait in await _handed_over(installation, stays, kill=True)]
    busy = ", ".join(f"{load:.1f}" for load in psutil.getloadavg())
    print(f"\nHand-over with a lease of {_LEASE:g} s (load of the machine in 1, 5 and 15 minutes: {busy})")
    _tell("from SIGTERM to the next worker's first chunk", stopped)
    _tell("from kill -9 to that", killed)
    _tell("the same, to a worker that began less than a minute ago", fresh)


def _tell(what: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    at_99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    middle = statistics.median(ordered)
    print(
        f"  {what:<58} p50 {middle / _LEASE:5.2f}, p99 {at_99 / _LEASE:5.2f} of the lease "
        f"({middle:.2f} s, {at_99:.2f} s; {len(ordered)} runs)"
    )


@asynccontextmanager
async def _staying(installation: Installation) -> AsyncIterator[Service]:
    settings: dict[str, Any] = {"lease_seconds": _LEASE, "worker_slots": _MOST_JOBS, "log_level": "error"}
    async with installation.worker(**settings) as service:
        yield service


async def _handed_over(installation: Installation, stays: Service, *, kill: bool) -> list[float]:
    """Of each job that the worker had which ended, how many seconds it took until the other one worked on it."""
    settings: dict[str, Any] = {"lease_seconds": _LEASE, "worker_slots": _SLOTS, "log_level": "error"}
    async with installation.worker_process(**settings) as ends:
        jobs = await _until_it_is_full(installation, ends)
        began = time.monotonic()
        ending: asyncio.Task[object] = asyncio.create_task(ends.kill() if kill else ends.stop())
        lost = [job_id for job_id, worker in jobs.items() if worker == ends.pid]
        waits = await asyncio.gather(*(_next_run(installation, job_id, began) for job_id in lost))
        await ending
        for job_id in jobs:
            await installation.cancel(job_id)
        await installation.followed.every("batch.canceled", list(jobs))
        while stays.worker and stays.worker.running:  # noqa: ASYNC110 - the runs have slots until they have stopped
            await asyncio.sleep(0.1)  # it is asked again
    return list(waits)


async def _until_it_is_full(installation: Installation, worker: WorkerProcess) -> dict[str, int]:
    """Jobs, and the process that works on each: as many as it takes for the worker to have all its slots full."""
    jobs: dict[str, int] = {}
    while sum(process == worker.pid for process in jobs.values()) < _SLOTS:
        assert len(jobs) < _MOST_JOBS, "the worker gets no jobs"
        job_id = await installation.create("chunks", chunks=100_000, seconds=_CHUNK)
        await installation.followed.message(job_id, "chunk 1")
        lease = (await installation.job(job_id)).lease
        assert lease is not None
        jobs[job_id] = int(lease.worker.split("-")[-2])  # host, process, chance
    return jobs


async def _next_run(installation: Installation, job_id: str, began: float) -> float:
    """Until the second run of the job is heard of."""
    followed = installation.followed
    seen = len(followed.all("batch.progress", job_id))
    await followed.until(lambda: any(event.data["run"] == 2 for event in followed.all("batch.progress", job_id)[seen:]))
    return time.monotonic() - began

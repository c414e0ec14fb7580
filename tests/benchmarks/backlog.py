"""A backlog: jobs published while no worker runs, then worked off by two. Its length must not slow a job down."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Final

from tests.benchmarks.ground import Ground
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess

__all__ = ["run", "work_off"]

SHORT: Final = 1_000
LONG: Final = 20_000
AT_ONCE: Final = 200
EVENTS_OF_A_JOB: Final = ("created", "pre_processed", "confirmed", "processing", "completed")


async def run(ground: Ground) -> None:
    print(f"\nA backlog of no-op jobs, worked off by two workers, on RabbitMQ and {ground.database}")
    milliseconds = {}
    for jobs in (SHORT, LONG):
        async with ground.installation() as installation:
            milliseconds[jobs] = 1000 * await work_off(installation, jobs)
        print(f"  {jobs:6,} jobs   {milliseconds[jobs]:6.2f} ms a job, {1000 / milliseconds[jobs]:6.1f} jobs/s")
    growth = milliseconds[LONG] / milliseconds[SHORT]
    print(f"  ratio         {growth:6.2f} of the time for a job in the short one (aim: 1.25 or less)")


async def work_off(installation: Installation, jobs: int) -> float:
    """Publish the jobs, start two workers, wait for the end. Returns seconds per job, the workers' start left out.

    Raises `AssertionError` unless every job was completed, and every event published once.
    """
    followed = installation.followed
    for begin in range(0, jobs, AT_ONCE):
        await asyncio.gather(*(installation.create("noop") for _ in range(begin, min(begin + AT_ONCE, jobs))))
    async with _worker(installation), _worker(installation):
        await followed.event("batch.completed")
        started = time.perf_counter()
        await followed.until(lambda: followed.counts["batch.completed"] >= jobs, patience=60 + jobs / 10)
        elapsed = time.perf_counter() - started
        await installation.all_published()
    assert followed.counts == {f"batch.{word}": jobs for word in EVENTS_OF_A_JOB}, followed.counts
    return elapsed / (jobs - 1)


def _worker(installation: Installation) -> AbstractAsyncContextManager[WorkerProcess]:
    return installation.worker_process(lease_seconds=30, log_level="warning", worker_types="noop")

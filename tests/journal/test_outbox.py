"""The marks of what was published: whatever goes wrong with one job, or its lease, the others and the next have theirs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

import structlog

from batchbus_events.event import decode
from batchbus_events.ids import derived_job_id
from batchbus_service.domain.job import Job
from batchbus_strategies import AnyContext, BatchStrategy, JobRun
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World
from tests.storage.memory.jobs import MemoryJobStore

JOBS: Final = [derived_job_id("outbox", str(number)) for number in range(20)]


class Waits(BatchStrategy[AnyContext]):
    identifier = "waiting-strategy"
    batch_type = "waiting"

    async def process(self, run: JobRun[AnyContext]) -> None:
        await asyncio.sleep(20)


class ChokesOnOne(MemoryJobStore):
    """As a driver does that cannot encode what stands in one of many writes."""

    async def settle(self, jobs: Sequence[Job]) -> None:
        if any(job.id == JOBS[3] for job in jobs):
            raise ValueError("not to be written")
        await super().settle(jobs)


def _world(store: MemoryJobStore) -> World:
    random.seed(1)
    return World(Random(1), lambda name: Waits(), store=store, chance=0, slowest=0.01)


def test_a_mark_that_cannot_be_written_keeps_no_other_from_being_written() -> None:
    async def marked() -> tuple[list[str], Counter[str]]:
        async with (world := _world(ChokesOnOne())).bus:
            await world.listen()
            await world.start_process()
            for job_id in JOBS:
                await world.trigger("created", job_id, job_id, type="waiting", dry_run=True)
            await asyncio.sleep(8)  # not yet the time after which anybody publishes them again
            unmarked = [job.id for job in world.store.jobs.values() if job.published < len(job.history)]
            return unmarked, Counter(decode(message.body).id for message in world.published)

    with structlog.testing.capture_logs() as logs:
        unmarked, times = run_virtually(marked())
    assert unmarked == [JOBS[3]]
    assert set(times.values()) == {1}
    assert {line["job_id"] for line in logs if line["event"] == "mark_not_written"} == {JOBS[3]}


def test_whoever_loses_a_job_still_says_what_it_has_published_of_it() -> None:
    async def marked() -> tuple[int, int]:
        async with (world := _world(MemoryJobStore())).bus:
            await world.listen()
            process = await world.start_process()
            (job_id, *_) = JOBS
            await world.trigger("created", job_id, job_id, type="waiting")
            while len(world.published) < 2 or not process.outbox.backlog:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.0001)
            process.outbox.forget(job_id)
            out = len(world.published)
            await asyncio.sleep(1)  # long before the next heartbeat
            return out, world.store.jobs[job_id].published

    with structlog.testing.capture_logs():
        out, marked_as = run_virtually(marked())
    assert 2 <= out <= marked_as + 1, "all but the one whose confirmation was on its way"

"""A database that is always slow proves the time by no answer, and nothing waits for such a proof for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

from batchbus_events.bus import BusUnavailable
from batchbus_events.event import decode
from batchbus_events.ids import derived_job_id
from batchbus_service.domain.job import Job, Status
from batchbus_strategies import AnyContext, BatchStrategy, JobRun
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World

JOB = derived_job_id("slow", "one")
_ANSWERS_WITHIN = 9.0
_LEASE = 30.0


class LastsOnTheFirst(BatchStrategy[AnyContext]):
    identifier = "lasting-strategy"
    batch_type = "lasting"

    def __init__(self, process: str) -> None:
        self._process = process

    async def process(self, run: JobRun[AnyContext]) -> None:
        if self._process == "process-0":
            await asyncio.Event().wait()


def _world() -> World:
    return World(Random(1), LastsOnTheFirst, chance=0)


def test_the_job_of_a_killed_worker_is_taken_over() -> None:
    async def taken_over() -> tuple[Job, float]:
        async with (world := _world()).bus:
            first = await world.start_process()
            await asyncio.sleep(120)  # until its clock is trusted
            await world.trigger("created", JOB, "one", type="lasting")
            await world.start_process()
            await asyncio.sleep(120)
            world.surroundings.slow = _ANSWERS_WITHIN
            await asyncio.sleep(60)
            assert world.store.jobs[JOB].lease is not None
            assert world.store.jobs[JOB].lost_runs == 0, "its worker is well, and only the database is slow"
            await first.crash()
            killed_at = asyncio.get_running_loop().time()
            while world.store.jobs[JOB].status is not Status.COMPLETED:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
            return world.store.jobs[JOB], asyncio.get_running_loop().time() - killed_at

    job, seconds = run_virtually(taken_over())
    assert job.fence == 2
    assert seconds < 4 * _LEASE + 20 * _ANSWERS_WITHIN


def test_a_trigger_whose_job_does_not_come_is_answered() -> None:
    async def answered() -> float:
        async with (world := _world()).bus:
            await world.listen()
            await world.start_process()
            await asyncio.sleep(120)
            world.surroundings.slow = _ANSWERS_WITHIN
            began = asyncio.get_running_loop().time()
            with suppress(BusUnavailable):  # it is in the queue, and is acknowledged later
                await world.trigger("canceled", JOB, "two")
            while not world.published:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
            (answer,) = world.published
            assert decode(answer.body).data["reason"] == "unknown_job"
            return asyncio.get_running_loop().time() - began

    assert run_virtually(answered()) < 2 * 600

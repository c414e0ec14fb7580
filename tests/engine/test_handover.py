"""How soon a job whose worker was killed goes on elsewhere, on virtual time: with its lease, not with the next poll."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from random import Random

import pytest

from batchbus_events.ids import new_job_id
from batchbus_service.domain.job import Job, Status
from batchbus_strategies import AnyContext, BatchStrategy, JobRun
from tests.engine.virtual_time import run_virtually, server_time
from tests.engine.world import World

LEASE = 30.0
TRUSTED = 70.0
"""Seconds after which a process trusts the clock of the database."""
CHUNK = 0.05
CALLS = 0.3
"""Seconds for the calls of the database between, of at most 0.02 each, and so that not all processes look at once."""


@pytest.fixture(autouse=True)
def the_same_each_time() -> Iterator[None]:
    """The engine's own jitter is chance, too."""
    state = random.getstate()
    random.seed(1)
    yield
    random.setstate(state)


class Long(BatchStrategy[AnyContext]):
    identifier = "long-strategy"
    batch_type = "long"

    async def process(self, run: JobRun[AnyContext]) -> None:
        await asyncio.sleep(3600)


class Chunks(BatchStrategy[AnyContext]):
    """Notices within a chunk that its worker stops."""

    identifier = "chunks-strategy"
    batch_type = "long"

    async def process(self, run: JobRun[AnyContext]) -> None:
        while True:
            await asyncio.sleep(CHUNK)
            await run.advance()


class Handover:
    """From a process that is killed to one that began a while after it."""

    def __init__(self, seed: int, *, settled_for: float) -> None:
        self._seed = seed
        self._settled_for = settled_for
        self.missed: list[float] = []
        """When the second process said that the first had not renewed its lease."""

    async def play(self) -> float:
        """Returns how many seconds after the end of its lease the job was given to another run."""
        world = World(Random(self._seed), lambda _: Long(), chance=0.0, slowest=0.01)
        loop = asyncio.get_running_loop()
        async with world.bus:
            first = await world.start_process()
            await world.trigger("created", new_job_id(), "create", type="long")
            await self.until(lambda: bool(world.store.jobs) and self._job(world).status is Status.PROCESSING)
            fence = self._job(world).fence
            second = await world.start_process()
            second.rescuer.missed.connect(lambda jobs: self.missed.append(loop.time()))
            await asyncio.sleep(self._settled_for + Random(self._seed).uniform(0, 10))
            await first.crash()
            lease = self._job(world).lease
            assert lease is not None
            assert not self.missed, "the worker was alive"
            await self.until(lambda: self._job(world).fence > fence)
            late = (server_time(loop, 0) - lease.expires_at).total_seconds()
            assert self.missed
            assert min(self.missed) < loop.time() - late, "it is foretold"
            return late

    @staticmethod
    def _job(world: World) -> Job:
        return next(iter(world.store.jobs.values()))

    @staticmethod
    async def until(reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(10 * LEASE):
            while not reached():  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_job_goes_on_elsewhere_as_soon_as_its_lease_has_ended(seed: int) -> None:
    assert 0 <= run_virtually(Handover(seed, settled_for=TRUSTED).play()) < CALLS


@pytest.mark.parametrize("seed", range(5))
def test_a_process_that_began_a_moment_ago_judges_by_its_stopwatch_and_needs_half_a_second_more(seed: int) -> None:
    assert 0 <= run_virtually(Handover(seed, settled_for=10.0).play()) < 0.5 + CALLS


async def _stopped_while_slots_turn_over(seed: int) -> float:
    """How many seconds it takes from the stop of a worker until all its jobs have been given to another one."""
    world = World(Random(seed), lambda _: Chunks(), chance=0.0, slowest=0.001)
    loop = asyncio.get_running_loop()
    async with world.bus:
        first = await world.start_process()
        for number in range(4):
            await world.trigger("created", new_job_id(), f"create-{number}", type="long")
        await Handover.until(lambda: sum(job.status is Status.PROCESSING for job in world.store.jobs.values()) == 4)
        fences = {job.id: job.fence for job in world.store.jobs.values()}
        await world.start_process()
        began = loop.time()
        closing = asyncio.create_task(first.worker.close())
        await Handover.until(lambda: all(job.fence > fences[job.id] for job in world.store.jobs.values()))
        await closing
        return loop.time() - began


@pytest.mark.parametrize("seed", range(3))
def test_a_worker_that_stops_keeps_no_job_back_for_its_own_slots(seed: int) -> None:
    assert run_virtually(_stopped_while_slots_turn_over(seed)) < CHUNK + 0.1

"""Who is there, and what follows from it: a slow process publishes its own events, and those of a dead one are found."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import structlog
from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_events.event import decode
from batchbus_events.ids import derived_job_id
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.ports import ProcessStore
from batchbus_service.domain.ports.server import Sign
from batchbus_service.journal.presence import Presence
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.processes import MongoProcessStore
from batchbus_strategies import AnyContext, BatchStrategy
from tests.engine.virtual_time import VirtualClock, run_virtually
from tests.engine.world import Process, World
from tests.storage.conftest import a_database
from tests.storage.memory.jobs import MemoryJobStore, MemoryProcessStore

NOW = SystemClock().now()
JOBS = 300


@pytest.fixture(params=["memory", "mongodb"])
async def processes(request: pytest.FixtureRequest) -> AsyncIterator[ProcessStore]:
    if request.param == "memory":
        yield MemoryProcessStore()
        return
    url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("database_name")
    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(url, tz_aware=True, tzinfo=UTC)
    yield MongoProcessStore(client[name])
    await client.drop_database(name)
    client.close()


async def _until(processes: ProcessStore) -> dict[str, datetime]:
    return {name: sign.until for name, sign in (await processes.present()).items()}


async def test_a_process_is_there_until_the_time_it_said_last_or_until_it_leaves(processes: ProcessStore) -> None:
    await processes.renew("one", NOW)
    await processes.renew("other", NOW)
    await processes.renew("one", NOW + timedelta(seconds=20))
    assert await _until(processes) == {"one": NOW + timedelta(seconds=20), "other": NOW}
    await processes.leave("one")
    await processes.leave("never seen")
    assert await _until(processes) == {"other": NOW}


async def test_processes_long_gone_are_forgotten_in_the_end(
    processes: ProcessStore, request: pytest.FixtureRequest
) -> None:
    await processes.renew("gone", NOW - timedelta(days=30))
    await processes.renew("here", NOW)
    await processes.present()
    assert "here" in await processes.present()
    if isinstance(processes, MongoProcessStore):
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("database_name")
        client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(url)
        assert await client[name]["processes"].count_documents({}) == 1
        client.close()


async def test_each_process_says_which_types_it_serves(processes: ProcessStore) -> None:
    clock = SystemClock()
    soon = clock.now() + timedelta(seconds=20)
    await processes.renew("worker", soon, ["noop", "rows"])
    await processes.renew("gone", NOW - timedelta(seconds=1), ["slow"])
    asking = Presence(processes, clock, "asks", structlog.get_logger(), lasts=timedelta(seconds=20), types=["own"])
    assert [await asking.serves(each) for each in ("own", "rows", "slow", "nobody")] == [True, True, False, False]


async def test_a_process_that_does_not_say_what_it_serves_may_serve_anything(
    mongo_url: str, database_name: str
) -> None:
    async with a_database(mongo_url, database_name) as database:
        clock, store = SystemClock(), MongoProcessStore(database)
        soon = clock.now() + timedelta(seconds=20)
        await store.renew("asks", soon, [])
        asking = Presence(store, clock, "asks", structlog.get_logger(), lasts=timedelta(seconds=20))
        assert not await asking.serves("nobody")
        await database["processes"].insert_one({"_id": "of an earlier version", "alive_until": soon})
        assert await asking.serves("nobody")


class Slow:
    """Each call waits its turn before it is carried out, as in a process that has much to ask the database."""

    def __init__(self, seconds: float, shared: MemoryProcessStore) -> None:
        self._seconds = seconds
        self._shared = shared

    async def renew(self, name: str, until: datetime, types: Sequence[str] = ()) -> None:
        await asyncio.sleep(self._seconds)
        await self._shared.renew(name, until, types)

    async def present(self) -> Mapping[str, Sign]:
        await asyncio.sleep(self._seconds)
        return await self._shared.present()

    async def leave(self, name: str) -> None:
        await self._shared.leave(name)


def test_a_process_whose_calls_wait_for_seconds_still_counts_as_alive() -> None:
    async def looked_at() -> set[bool]:
        clock, shared = VirtualClock(asyncio.get_running_loop()), MemoryProcessStore()
        slow, quick = (
            Presence(Slow(seconds, shared), clock, name, structlog.get_logger(), lasts=timedelta(seconds=20))
            for name, seconds in (("slow", 7.0), ("quick", 0.01))
        )
        await asyncio.gather(slow.start(), quick.start())
        await asyncio.sleep(5)  # until each has seen the other
        seen = set()
        for _ in range(600):
            await asyncio.sleep(0.5)
            seen.add(quick.lives("slow"))
        await asyncio.gather(slow.close(), quick.close())
        return seen

    assert run_virtually(looked_at()) == {True}


class Nothing(BatchStrategy[AnyContext]):
    identifier = "nothing-strategy"
    batch_type = "nothing"


class SlowToSettle(MemoryJobStore):
    """Takes its time for marks, as a database does that has more to write than it can."""

    seconds = 15.0

    async def settle(self, jobs: Sequence[Job]) -> None:
        await asyncio.sleep(self.seconds)
        await super().settle(jobs)


def _world() -> World:
    random.seed(1)
    return World(Random(1), lambda name: Nothing(), store=SlowToSettle())


async def _start(world: World) -> Process:
    process = await world.start_process()
    process.faults.chance = 0
    return process


async def _ask(world: World, count: int) -> list[str]:
    jobs = [derived_job_id("presence", str(number)) for number in range(count)]
    for job_id in jobs:
        await world.trigger("created", job_id, job_id, type="nothing", dry_run=True)
    return jobs


async def _all_out(world: World, jobs: list[str]) -> None:
    def out(job: Job | None) -> bool:
        return job is not None and job.status is Status.PRE_PROCESSED and job.published == len(job.history)

    async with asyncio.timeout(86400):
        while not all(out(world.store.jobs.get(job_id)) for job_id in jobs):  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)


def test_a_process_that_is_slow_to_mark_what_it_published_is_not_taken_for_dead() -> None:
    async def slow_and_alive() -> None:
        async with (world := _world()).bus:
            await world.listen()
            for _ in range(3):
                await _start(world)
            await _all_out(world, await _ask(world, JOBS))
            ids = Counter(decode(message.body).id for message in world.published)
            assert len(ids) >= 2 * JOBS
            assert [event_id for event_id, times in ids.items() if times > 1] == []

    with structlog.testing.capture_logs() as logs:
        run_virtually(slow_and_alive())
    assert [line for line in logs if line["event"] == "events_found_unpublished"] == []


def test_who_waits_for_another_process_to_publish_still_waits_after_writing_more_of_the_same_job() -> None:
    """One process previews a job, another confirms it and runs it at once, before the first has marked its events."""

    async def confirmed_elsewhere() -> list[str]:
        async with (world := _world()).bus:
            await world.listen()
            one, other = await _start(world), await _start(world)
            other.freeze(1)
            (job_id,) = await _ask(world, 1)
            while (job := world.store.jobs.get(job_id)) is None or job.status is not Status.PRE_PROCESSED:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.01)
            assert job.written_by == one.name
            decider = other.transitions.decider
            confirmed = await other.transitions.change_by_id(
                job_id, lambda job, now: decider.confirm(job, now, Cause())
            )
            other.worker.offer(confirmed)
            while (job := world.store.jobs[job_id]).published < 5:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
            assert (job.status, job.written_by) == (Status.COMPLETED, other.name)
            return [decode(message.body).type for message in world.published if decode(message.body).sequence]

    with structlog.testing.capture_logs():
        assert run_virtually(confirmed_elsewhere()) == [
            f"batch.{status}" for status in ("created", "pre_processed", "confirmed", "processing", "completed")
        ]


def test_what_a_dead_process_did_not_publish_is_published_by_another_when_its_last_sign_of_life_is_over() -> None:
    async def killed() -> float:
        async with (world := _world()).bus:
            await world.listen()
            doomed = await _start(world)
            jobs = await _ask(world, 1)
            while not world.store.jobs:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.001)
            await doomed.crash()
            crashed_at = asyncio.get_running_loop().time()
            await _start(world)
            await _all_out(world, jobs)
            return asyncio.get_running_loop().time() - crashed_at

    with structlog.testing.capture_logs():
        assert run_virtually(killed()) < 90

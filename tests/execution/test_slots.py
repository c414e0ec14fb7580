"""Slots: how many jobs run at a time, where, and what does not have to wait for them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from batchbus_events.event import Event, decode
from batchbus_events.ids import derived_job_id
from batchbus_service.execution.slots import Slots
from batchbus_strategies import AnyContext, BatchStrategy, JobRun
from tests.engine.installation import Installation
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World
from tests.rabbitmq_node import RabbitNode

JOBS = 50


def time_of(event: Event) -> datetime:
    assert event.time is not None
    return event.time


def most_at_once(intervals: list[tuple[datetime, datetime]]) -> int:
    """How many of the intervals overlap at most; one that begins where another ends does not overlap it."""
    changes = sorted([(end, -1) for _, end in intervals] + [(start, 1) for start, _ in intervals])
    return max(accumulate(change for _, change in changes))


async def test_four_slots_run_four_jobs_at_a_time_and_neither_intake_nor_previews_wait_for_them(
    installation: Installation,
) -> None:
    followed = installation.followed
    async with installation.worker(worker_slots=4):
        jobs = await asyncio.gather(*(installation.create("gated", gate=str(installation.gate())) for _ in range(JOBS)))
        await followed.until(lambda: len(followed.all("batch.processing")) == 4)
        await followed.every("batch.confirmed", jobs)
        preview = await installation.create("sleeping", dry_run=True, seconds=0.2)
        await followed.event("batch.pre_processed", preview)
        assert len(followed.all("batch.processing")) == 4
        assert not followed.all("batch.completed")
        installation.gate().touch()
        await followed.every("batch.completed", jobs)

    runs = [(time_of(followed.lifecycle(job_id)[3]), time_of(followed.lifecycle(job_id)[4])) for job_id in jobs]
    assert most_at_once(runs) == 4


async def test_an_idle_worker_takes_half_of_the_jobs(installation: Installation) -> None:
    followed = installation.followed
    async with installation.worker(worker_slots=4), installation.worker(worker_slots=4):
        jobs = await asyncio.gather(*(installation.create("gated", gate=str(installation.gate())) for _ in range(JOBS)))
        await followed.until(lambda: len(followed.all("batch.processing")) == 8)
        running = await installation.database.jobs.find({"status": "processing"}).to_list(None)
        installation.gate().touch()
        await followed.every("batch.completed", jobs)
    assert list(Counter(job["lease"]["worker"] for job in running).values()) == [4, 4]


async def test_a_worker_that_starts_beside_a_busy_one_takes_what_waits_there(installation: Installation) -> None:
    followed = installation.followed
    async with installation.worker(worker_slots=2):
        jobs = [await installation.create("gated", gate=str(installation.gate())) for _ in range(4)]
        await followed.every("batch.confirmed", jobs)
        await followed.until(lambda: len(followed.all("batch.processing")) == 2)
        async with installation.worker(worker_slots=2):
            await followed.until(lambda: len(followed.all("batch.processing")) == 4)
            installation.gate().touch()
            await followed.every("batch.completed", jobs)


async def test_a_job_that_is_confirmed_is_taken_at_once_by_whoever_is_idle(installation: Installation) -> None:
    followed = installation.followed
    async with installation.worker(worker_slots=1), installation.worker(worker_slots=1):
        busy = await installation.create("gated", gate=str(installation.gate()))
        await followed.event("batch.processing", busy)
        waits = []
        for _ in range(10):
            job_id = await installation.create("noop", dry_run=True)
            await followed.event("batch.pre_processed", job_id)
            await installation.confirm(job_id)
            started = await followed.event("batch.processing", job_id)
            await followed.event("batch.completed", job_id)
            waits.append(time_of(started) - time_of(followed.all("batch.confirmed", job_id)[0]))
        installation.gate().touch()
        await followed.event("batch.completed", busy)
    assert sorted(waits)[5] < timedelta(milliseconds=500), "be it the one that got the confirmation, or the other"


async def test_a_job_outlives_the_brokers_patience_with_consumers(
    installation: Installation, rabbit_node: RabbitNode
) -> None:
    async with installation.worker():
        with (
            rabbit_node.setting("channel_tick_interval", 200, "60000"),
            rabbit_node.setting("consumer_timeout", 500, "1800000"),
        ):
            job_id = await installation.create("sleeping", seconds=2)
            completed = await installation.followed.event("batch.completed", job_id)
    assert completed.data["run"] == 1
    assert len(installation.followed.all("batch.created")) == 1


async def test_a_strategy_that_blocks_its_loop_loses_no_lease(installation: Installation) -> None:
    async with installation.worker(lease_seconds=1):
        job_id = await installation.create("blocking", seconds=2.5)
        completed = await installation.followed.event("batch.completed", job_id)
        other = await installation.create("noop")
        await installation.followed.event("batch.completed", other)
    assert completed.data["run"] == 1


async def test_whoever_waits_for_a_slot_gets_the_next_and_only_then_is_it_free() -> None:
    slots = Slots({"process": 1})
    freed: list[int] = []
    slots.freed.connect(lambda phase: freed.append(slots.free(phase)))
    first = slots.take("process", "ann")
    assert first is not None and slots.take("process", "ann") is None
    waiting = asyncio.create_task(slots.take_within("process", "ann", 60))
    await asyncio.sleep(0)  # one turn of the loop: it waits for the slot
    first.release()
    first.release()
    second = await waiting
    assert second is not None and (slots.free("process"), freed) == (0, [])
    assert await slots.take_within("process", "ann", 0) is None
    second.release()
    assert (slots.free("process"), freed) == (1, [1])


class Brief(BatchStrategy[AnyContext]):
    identifier = "brief-strategy"
    batch_type = "brief"

    async def process(self, run: JobRun[AnyContext]) -> None:
        await asyncio.sleep(1.5)  # of virtual time


async def _seconds_for_twenty_jobs_on_four_slots() -> float:
    random.seed(1)
    loop = asyncio.get_running_loop()
    async with (world := World(Random(1), lambda name: Brief(), chance=0, slowest=0.01)).bus:
        await world.listen()
        await world.start_process()
        began = loop.time()
        for number in range(20):
            job = derived_job_id("/tests", str(number))
            await world.trigger("created", job, str(number), type="brief")
        async with asyncio.timeout(600):
            while sum(decode(message.body).type == "batch.completed" for message in world.published) < 20:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(0.01)
        return loop.time() - began


def test_a_slot_that_comes_free_is_taken_at_once_and_not_at_the_next_look() -> None:
    """Five rounds of 1.5 s; a look once a second would make ten seconds of it."""
    assert run_virtually(_seconds_for_twenty_jobs_on_four_slots()) < 5 * 1.5 + 1


async def test_one_owner_alone_has_all_slots_and_as_soon_as_others_come_each_has_an_equal_part() -> None:
    slots = Slots({"process": 4, "pre_process": 2})
    of_ann = [slots.take("process", "ann") for _ in range(5)]
    assert [permit is not None for permit in of_ann] == [True] * 4 + [False]
    assert slots.take("process", "bob") is None  # what has begun is not interrupted
    for permit in of_ann[:2]:
        assert permit is not None
        permit.release()
    assert slots.take("process", "ann") is None  # she has two, and he none
    assert all(slots.take("process", "bob") for _ in range(2))
    assert slots.take("pre_process", "ann") and not slots.take("pre_process", "ann")
    assert slots.take("pre_process", "bob")


async def _slots_of_one_of_three() -> tuple[int, int]:
    """How many of two slots one of three gets: while the others may come, and when they have not come for a while."""
    slots = Slots({"process": 2})
    for owner in ("ann", "bob", "carl"):
        slots.want(owner)
    first = sum(slots.take("process", "ann") is not None for _ in range(2))
    await asyncio.sleep(11)  # of virtual time
    return first, first + (slots.take("process", "ann") is not None)


def test_room_is_left_for_others_for_a_while_and_everyone_has_one_slot_at_least() -> None:
    assert run_virtually(_slots_of_one_of_three()) == (1, 2)

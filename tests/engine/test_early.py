"""Triggers that wait for a job that does not come: how long, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import structlog

from batchbus_events.event import decode
from batchbus_events.ids import derived_job_id
from batchbus_service.domain.early import ChangeTrigger, Placeholder
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_service.domain.ports import JobStore
from batchbus_service.journal import transitions
from batchbus_strategies import AnyContext, BatchStrategy
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World
from tests.storage.memory.jobs import MemoryJobStore

JOB = derived_job_id("early", "one")


class Nothing(BatchStrategy[AnyContext]):
    identifier = "nothing-strategy"
    batch_type = "nothing"


class Looks:
    """A store that counts how often it is asked for what is due."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.times = 0

    def __getattr__(self, name: str) -> Any:
        self.times += name == "due"
        return getattr(self._store, name)


async def _answered_after(outage: tuple[float, float] | None, *, crashes: bool = False) -> float:
    """When the confirmation of a job that never comes is answered, in seconds. `outage`: from when to when the broker is away."""
    random.seed(1)
    loop = asyncio.get_running_loop()
    async with (world := World(Random(1), lambda name: Nothing())).bus:
        await world.listen()
        process = await world.start_process()
        process.faults.chance = 0
        await world.trigger("confirmed", JOB, "one")
        if outage:
            await asyncio.sleep(outage[0] - loop.time())
            process.bus.connected = False
            await asyncio.sleep(outage[1] - loop.time())
            process.bus.connected = True
        if crashes:
            await asyncio.sleep(300)
            await process.crash()
            (await world.start_process()).faults.chance = 0
        async with asyncio.timeout(86400):
            while not world.published or JOB in world.store.placeholders:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
        (rejected,) = [decode(message.body) for message in world.published]
        assert (rejected.type, rejected.causationid) == ("batch.rejected", "one")
        assert rejected.data["reason"] == "unknown_job"
        return loop.time()


@pytest.mark.parametrize(
    ("outage", "at"),
    [(None, 600), ((100, 500), 1100), ((550, 7200), 7800), ((599, 20_000), 20_600)],
    ids=["no outage", "an outage meanwhile", "an outage across the end", "an outage of hours"],
)
def test_a_trigger_whose_job_never_comes_is_rejected_after_ten_minutes_in_which_all_was_well(
    outage: tuple[float, float] | None, at: float
) -> None:
    with structlog.testing.capture_logs():
        assert at <= run_virtually(_answered_after(outage)) < at + 10


def test_a_process_that_starts_gives_what_waits_its_time_again() -> None:
    """It does not know what was away before: the job may still be in the queue."""
    with structlog.testing.capture_logs():
        assert 900 <= run_virtually(_answered_after(None, crashes=True)) < 910


def test_while_nobody_can_be_told_that_the_jobs_do_not_come_the_jobs_that_are_there_are_looked_after() -> None:
    """More triggers wait in vain than the watch looks at in a round, and a worker is gone meanwhile."""

    async def outage(connected: bool) -> tuple[int, float]:
        random.seed(1)
        loop = asyncio.get_running_loop()
        async with (world := World(Random(1), lambda name: Nothing())).bus:
            await world.listen()
            process = await world.start_process()
            process.faults.chance = 0
            clock, decider = process.transitions.clock, process.transitions.decider
            asked = Looks(process.transitions.store)
            process.transitions.store = asked
            await asyncio.sleep(90)  # for as long, a process that begins judges leases by what it has seen of them
            world.away.add("broker")
            process.bus.connected = connected
            for number in range(250):
                cause = Cause(event_id=str(number), source="/tests")
                trigger = ChangeTrigger(
                    type="batch.confirmed", cause=cause, sender="/tests", received_at=clock.now() + timedelta(seconds=1)
                )
                await world.store.keep_early(derived_job_id("early", str(number)), trigger, clock.now())
            request = NewJob(id=JOB, type="nothing", context={}, dry_run=True, created_by="", request_digest="")
            job = decider.claim(decider.create(request, clock.now(), Cause()), "gone", clock.now())
            await world.store.insert(job)
            began = loop.time()
            async with asyncio.timeout(300):
                while world.store.jobs[JOB].version == job.version:  # noqa: ASYNC110 - the time is virtual
                    await asyncio.sleep(0.1)
            took, asked.times = loop.time() - began, 0
            await asyncio.sleep(60)
            assert len(world.store.placeholders) == 250
            return asked.times, took

    with structlog.testing.capture_logs():
        for connected in (False, True):
            looks, took = run_virtually(outage(connected))
            assert took < 35, "a lease and a few seconds"
            assert looks < 200, "it pauses between its rounds"


def test_of_one_sender_so_many_triggers_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "MAX_OF_ONE_SENDER", 5)

    async def flood() -> tuple[int, list[str]]:
        random.seed(1)
        async with (world := World(Random(1), lambda name: Nothing())).bus:
            await world.listen()
            (await world.start_process()).faults.chance = 0
            for number in range(8):
                for source in ("/flood", "/shop") if number < 2 else ("/flood",):
                    job_id = derived_job_id(source, str(number))
                    await world.trigger("canceled", job_id, f"{number}", source=source)
            # Neither one that is delivered again, nor another one for a job that is waited for, is one job more.
            for word, event_id in (("canceled", "0"), ("confirmed", "another")):
                await world.trigger(word, derived_job_id("/flood", "0"), event_id, source="/flood")
            await asyncio.sleep(1)
            waiting = world.store.placeholders[derived_job_id("/flood", "0")].triggers
            assert [trigger.cause.event_id for trigger in waiting] == ["0", "another"]
            return len(world.store.placeholders), [str(decode(told.body).causationid) for told in world.published]

    with structlog.testing.capture_logs():
        assert run_virtually(flood()) == (7, ["5", "6", "7"])


class Contested(MemoryJobStore):
    """Where a placeholder has always changed since it was read, the first two times."""

    times = 0

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        self.times += 1
        return self.times > 2 and await super().fill_placeholder(placeholder, job)


def test_a_refusal_is_told_once_however_often_more_triggers_come_while_the_job_is_written() -> None:
    async def told() -> list[str]:
        random.seed(1)
        async with (world := World(Random(1), lambda name: Nothing(), store=Contested(), chance=0)).bus:
            await world.listen()
            await world.start_process()
            for number in range(5):
                await world.trigger("canceled" if number < 3 else "confirmed", JOB, str(number))
            await asyncio.sleep(5)
            await world.trigger("created", JOB, "made", type="nothing")
            await asyncio.sleep(10)
            assert world.store.jobs[JOB].status is Status.CANCELED
            events = [decode(message.body) for message in world.published]
            return sorted(str(event.causationid) for event in events if event.type == "batch.rejected")

    with structlog.testing.capture_logs():
        assert run_virtually(told()) == ["3", "4"]

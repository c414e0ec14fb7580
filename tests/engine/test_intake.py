"""Intake when something goes wrong that nobody has thought of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from batchbus_events import topics
from batchbus_events.bus import HELD_SINCE, Delivery, Message, PublishRefused
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import Event, encode
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.engine.commands import BUS, Commands
from batchbus_service.engine.intake import Intake
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.parked.delivered import parked_as
from tests.engine.virtual_time import VirtualClock, run_virtually
from tests.storage.memory.jobs import MemoryJobStore, MemoryProcessStore


class NewerStore(MemoryJobStore):
    """Every job in it is of a form that this process cannot read."""

    async def get(self, job_id: str) -> Job | None:
        raise UnreadableJob(job_id, "a newer batchbus wrote it (schema 2)")


class BrokenStore(MemoryJobStore):
    """Has a bug that one job brings out."""

    async def insert(self, job: Job) -> None:
        if job.context.get("poison"):
            raise ZeroDivisionError
        await super().insert(job)


def test_a_trigger_that_breaks_intake_is_parked_in_the_end_and_holds_up_no_other() -> None:
    with structlog.testing.capture_logs() as logs:
        parked, stored = run_virtually(_poison_and_a_good_one())
    assert b"poison" in parked.body
    assert stored == 1
    assert len([line for line in logs if line["event"] == "trigger_broke"]) > 1


async def _poison_and_a_good_one() -> tuple[Message, int]:
    log = structlog.get_logger()
    store, parked = BrokenStore(), asyncio.Queue[Delivery]()
    clock, policy = VirtualClock(asyncio.get_running_loop()), Policy(publish_grace=timedelta(seconds=1000))
    async with MemoryBus(publish_timeout=100.0) as bus:
        presence = Presence(MemoryProcessStore(), clock, "worker-1", log, lasts=timedelta(seconds=20))
        outbox = Outbox(bus, store, clock, policy, presence, log)
        transitions = Transitions(store, outbox, clock, Decider(policy, lambda: "id"), log)
        intake = Intake(bus, transitions, Commands(BUS, transitions, None, log), log)
        await bus.consume(topics.PARKED_QUEUE, parked.put, prefetch=1)
        await intake.start()
        for name in ("poison", "good"):
            event = Event(
                type="batch.created", source="/tests", id=name, data={"type": "noop", "context": {name: True}}
            )
            await bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key="batch.created"))
        delivery = await parked.get()
        await delivery.ack()
        return delivery.message, len(store.jobs)


NEWER = Event(
    type="batch.created",
    source="/tests",
    id="newer",
    data={"type": "noop"},
    dataschema=TRIGGERS["batch.created"].dataschema.rpartition(".")[0] + ".9",
)


@dataclass
class Taken:
    """A delivery of a broker that refuses to hold it so many times."""

    message: Message
    refusals: int = 0
    redelivered: bool = False
    answers: list[str] = field(default_factory=list)

    async def ack(self) -> None:
        self.answers.append("ack")

    async def requeue(self) -> None:
        self.answers.append("requeue")

    async def hold(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise PublishRefused("an alarm")
        self.answers.append("hold")


async def _handled(delivery: Taken, store: MemoryJobStore | None = None) -> list[Message]:
    """What was parked of it."""
    parked: list[Message] = []

    async def note(parked_delivery: Delivery) -> None:
        parked.append(parked_delivery.message)
        await parked_delivery.ack()

    log, clock, policy = structlog.get_logger(), _clock(), Policy()
    store = store or MemoryJobStore()
    async with MemoryBus() as bus:
        await bus.consume(topics.PARKED_QUEUE, note, prefetch=10)
        presence = Presence(MemoryProcessStore(), clock, "worker-1", log, lasts=timedelta(seconds=20))
        outbox = Outbox(bus, store, clock, policy, presence, log)
        transitions = Transitions(store, outbox, clock, Decider(policy, lambda: "id"), log)
        intake = Intake(bus, transitions, Commands(BUS, transitions, None, log), log)
        await intake.handle(delivery)
        await asyncio.sleep(1)
    return parked


def _clock() -> VirtualClock:
    return VirtualClock(asyncio.get_running_loop())


def _newer(held_hours: float | None) -> Message:
    return _message(NEWER, held_hours)


def _message(event: Event, held_hours: float | None) -> Message:
    async def now() -> float:
        return _clock().now().timestamp()

    headers = {} if held_hours is None else {HELD_SINCE: int(run_virtually(now()) - held_hours * 3600)}
    return Message(body=encode(event), routing_key=event.type, headers=headers)


def test_a_trigger_that_cannot_be_held_at_the_moment_waits_until_it_can_be_and_counts_as_no_failure() -> None:
    delivery = Taken(_newer(None), refusals=5)
    with structlog.testing.capture_logs() as logs:
        assert run_virtually(_handled(delivery)) == []
    assert delivery.answers == ["hold"]
    assert not [line for line in logs if line["event"] == "trigger_broke"]


@pytest.mark.parametrize(("hours", "answer"), [(23.9, "hold"), (24.1, "ack")])
def test_a_trigger_of_a_newer_version_is_parked_when_no_process_has_read_it_for_a_day(
    hours: float, answer: str
) -> None:
    delivery = Taken(_newer(hours))
    with structlog.testing.capture_logs():
        parked = run_virtually(_handled(delivery))
    assert delivery.answers == [answer]
    assert [message.body for message in parked] == ([encode(NEWER)] if answer == "ack" else [])


@pytest.mark.parametrize(("hours", "answer"), [(None, "hold"), (23.9, "hold"), (24.1, "ack")])
def test_a_trigger_for_a_job_that_a_newer_version_wrote_is_held_for_a_process_that_can_read_it(
    hours: float | None, answer: str
) -> None:
    event = Event(type="batch.canceled", source="/tests", id="one", data={}, subject=f"batch_{'0' * 26}")
    delivery = Taken(_message(event, hours))
    with structlog.testing.capture_logs() as logs:
        parked = run_virtually(_handled(delivery, NewerStore()))
    assert delivery.answers == [answer]
    assert [message.body for message in parked] == ([encode(event)] if answer == "ack" else [])
    assert not [line for line in logs if line["event"] == "trigger_broke"]


def test_a_trigger_that_an_operator_puts_back_has_another_day() -> None:
    with structlog.testing.capture_logs():
        (parked,) = run_virtually(_handled(Taken(_newer(24.1))))
        put_back = Taken(parked_as(parked, None, datetime.now(UTC)).message(parked.body))
        assert run_virtually(_handled(put_back)) == []
    assert put_back.answers == ["hold"]

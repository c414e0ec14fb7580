"""Intake when something goes wrong that nobody has thought of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.event import Event, encode
from batchbus_events.memory import MemoryBus
from batchbus_service.intake import Intake
from batchbus_service.job import Job
from batchbus_service.ledger import Ledger
from batchbus_service.lifecycle import Decider, Policy
from batchbus_service.outbox import Outbox
from batchbus_service.presence import Presence
from batchbus_service.stores.memory import MemoryJobStore, MemoryProcessStore
from tests.engine.virtual_time import VirtualClock, run_virtually


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
        intake = Intake(bus, Ledger(store, outbox, clock, Decider(policy, lambda: "id"), log), None, log)
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

"""What the memory bus does beyond the contract: it waits for triggers, and its time can be shortened."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from batchbus_events import topics
from batchbus_events.bus import HELD_SINCE, BusUnavailable, Message, QueueState
from batchbus_events.memory import MemoryBus
from tests.events.inbox import Inbox
from tests.patience import PATIENCE

TRIGGER = Message(body=b"{}", routing_key="batch.created")


async def test_a_held_message_comes_again_as_it_was_when_its_time_is_up() -> None:
    async with MemoryBus(hold_seconds=0.01) as bus:
        inbox = Inbox()
        await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
        publishing = asyncio.create_task(bus.publish(topics.TRIGGERS, TRIGGER))
        await (await inbox.next()).hold()
        await publishing

        again = await inbox.next()
        since = again.message.headers[HELD_SINCE]
        assert (again.message, again.redelivered) == (replace(TRIGGER, headers={HELD_SINCE: since}), False)
        await again.hold()
        assert (await inbox.next()).message.headers[HELD_SINCE] == since, "it tells when it was held first"


async def test_what_is_held_is_counted_as_on_a_broker() -> None:
    async with MemoryBus() as bus:
        inbox = Inbox()
        await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
        publishing = asyncio.create_task(bus.publish(topics.TRIGGERS, TRIGGER))
        assert await bus.inspect(topics.HELD_QUEUE.name) == QueueState(0, 0)
        await (await inbox.next()).hold()
        await publishing
        assert await bus.inspect(topics.HELD_QUEUE.name) == QueueState(1, 0)


async def test_publishing_a_trigger_that_nobody_acknowledges_fails_in_time() -> None:
    async with MemoryBus(publish_timeout=0.01) as bus:
        await bus.consume(topics.TRIGGERS_QUEUE, Inbox(), prefetch=1)

        with pytest.raises(BusUnavailable):
            await bus.publish(topics.TRIGGERS, TRIGGER)


async def test_publishing_a_trigger_does_not_wait_for_a_consumer_that_goes_away() -> None:
    async with MemoryBus() as bus:
        inbox = Inbox()
        consumer = await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
        publishing = asyncio.create_task(bus.publish(topics.TRIGGERS, TRIGGER))
        await inbox.next()

        await consumer.close()

        async with asyncio.timeout(PATIENCE):
            await publishing


async def test_a_closed_bus_is_not_connected_and_takes_nothing() -> None:
    async with MemoryBus() as bus:
        pass

    assert not bus.connected
    with pytest.raises(BusUnavailable):
        await bus.publish(topics.EVENTS, TRIGGER)
    with pytest.raises(BusUnavailable):
        await bus.consume(topics.TRIGGERS_QUEUE, Inbox(), prefetch=1)


async def test_the_log_keeps_the_last_ten_thousand() -> None:
    async with MemoryBus() as bus:
        for number in range(10_010):
            await bus.publish(topics.EVENTS, Message(body=str(number).encode(), routing_key="batch.updated"))

        kept = [message.body async for message in bus.read_log()]

    assert (len(kept), kept[0], kept[-1]) == (10_000, b"10", b"10009")

"""What tests of subscribers share: events to publish, and a handler that writes down what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_ulid
from batchbus_events.parking import parked_queue, subscriber_queue
from batchbus_events.subscriber import EventHandler, Retry, Subscriber
from tests.events.inbox import Inbox
from tests.patience import PATIENCE

AT_ONCE: Final = Retry(tries=3, first=0.001)
EVERYTHING: Final = ["batch.#"]


class Diary:
    """A handler that writes down what it was given, after it has done what the test wants it to do."""

    def __init__(self, deed: EventHandler | None = None) -> None:
        self._deed = deed
        self.events: list[Event] = []
        self._changed = asyncio.Condition()

    async def __call__(self, event: Event) -> None:
        if self._deed is not None:
            await self._deed(event)
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    async def until(self, count: int) -> list[int | None]:
        """The sequences, as soon as there are so many."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.events) >= count)
        return [event.sequence for event in self.events]


def fact(job_id: str, sequence: int, event_type: str = "batch.updated") -> Event:
    return Event(
        type=event_type,
        source="batchbus",
        id=new_ulid(),
        subject=job_id,
        sequence=sequence,
        time=datetime.now(UTC),
        data={"type": "t"},
    )


async def publish(bus: Bus, *events: Event) -> None:
    for event in events:
        key = topics.routing_key(event.type, "t", event.subject)
        await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key, message_id=event.id))


@asynccontextmanager
async def running(subscriber: Subscriber, *handlers: EventHandler) -> AsyncIterator[None]:
    for handler in handlers:
        subscriber.on()(handler)
    task = asyncio.create_task(subscriber.run())
    try:
        yield
    finally:
        subscriber.stop()
        async with asyncio.timeout(PATIENCE):
            await task


async def parked_in(bus: Bus, name: str) -> Message:
    inbox = Inbox()
    consumer = await bus.consume(parked_queue(name), inbox, prefetch=1)
    delivery = await inbox.next()
    await delivery.ack()
    await consumer.close()
    return delivery.message


async def ready(bus: Bus, patterns: list[str] = EVERYTHING) -> None:
    """The queue is there, as it is after the subscriber's first start."""
    await bus.declare(subscriber_queue("billing", patterns, crashes=20))

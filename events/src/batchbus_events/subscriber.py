"""A durable subscriber: a named queue, whose events are handled in order for each job, and each as good as once.

    subscriber = client.subscriber("billing", ["batch.completed.#"], deduplication=await MongoDeduplication.open(events))

    @subscriber.on("batch.completed.#", replays="ignore")
    async def invoice(event: Event) -> None: ...

    await subscriber.run()

What holds:

* Events wait in the queue `billing` while no process reads it. Of several processes one is served, the others stand by, so
  that the order of a job's events holds across them.
* Events of one job are handled one after another, in order of `sequence`; those of different jobs side by side.
* A handler that raises is tried again, after ever longer pauses. Failures are counted across restarts, apart from how
  often a process ended while it had the event, which the broker counts. Too many of either, and the event is put into
  the queue `billing.parked`, with the reason in its headers, and the job's next event has its turn.
* An event that was handled is not handled again, unless it is replayed, which each handler may ask for or not.
* Where the patterns cover all lifecycle events, a gap in a job's `sequence` is noticed, and filled from the history.

A queue keeps the bindings it once got: a pattern that is no longer wanted has to be unbound by an operator.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, TypeVar

from batchbus_events import topics
from batchbus_events.backoff import Backoff, delay
from batchbus_events.bus import Bus, BusError, Delivery, TopologyMismatch
from batchbus_events.deduplication import Deduplication, Key, Record
from batchbus_events.event import Event, InvalidEvent
from batchbus_events.history import HistoryUnavailable
from batchbus_events.keyed_executor import KeyedExecutor
from batchbus_events.parking import parked, parked_queue, parking_exchange, queue_of_earlier_versions, subscriber_queue
from batchbus_events.reading import event_in, key_of
from batchbus_events.since import Positions

__all__ = ["EventHandler", "EventsAfter", "Gap", "Received", "Replays", "Retry", "Subscriber"]

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

EventHandler = Callable[[Event], Awaitable[None]]
EventsAfter = Callable[[str, int], Awaitable[list[Event]]]
"""Looks up the lifecycle events of a job, given its id, whose `sequence` is greater than a number, in order."""
Replays = Literal["process", "ignore"] | EventHandler
"""What becomes of replayed events: the same as of all, nothing, or what a handler of their own does."""

_GRACE_SECONDS: Final = 10.0
_IN_ADVANCE: Final = 10
"""How many deliveries are taken for each event that may be handled at a time, since others wait for their jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a handler is tried, and how long the pauses between are."""

    tries: int = 5
    """How often in all, the first time included. After that the event is parked."""
    first: float = 0.5
    """The pause after the first failure, in seconds."""
    factor: float = 2.0
    """How many times longer each pause is than the one before."""
    longest: float = 60.0
    """The longest pause, in seconds."""

    def pause(self, failures: int) -> float:
        """The pause after so many failures, in seconds. Chance makes it up to half shorter, so that not all retry at once."""
        pause = delay(failures, first=self.first, longest=self.longest, factor=self.factor)
        return pause * random.uniform(0.5, 1)


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a job that did not arrive, and that the history does not have either: those between two numbers."""

    job_id: str
    after: int
    before: int


class Received:
    """An event that was read from `Subscriber.received`, until it is settled. Only the first verdict counts."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self._verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ack(self) -> None:
        """It is dealt with. The job's next event may come."""
        if not self._verdict.done():
            self._verdict.set_result(None)

    def fail(self, error: Exception) -> None:
        """It comes again after a pause, or is parked after too many tries."""
        if not self._verdict.done():
            self._verdict.set_exception(error)

    async def settled(self) -> None:
        """Returns once it is dealt with. Raises: what it failed with."""
        await self._verdict


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: str
    handler: EventHandler
    replays: Replays

    def handler_for(self, event: Event) -> EventHandler | None:
        if event.replayid is None or self.replays == "process":
            return self.handler
        return None if self.replays == "ignore" else self.replays


@dataclass(frozen=True, slots=True)
class _Item:
    event: Event
    delivery: Delivery | None
    """None for an event that was missing, and is from the history."""


class Subscriber:
    """Made by `Client.subscriber`, which says what its parameters mean. Either `run` it or read it, and once only."""

    def __init__(
        self,
        bus: Bus,
        name: str,
        patterns: Sequence[str],
        *,
        deduplication: Deduplication,
        concurrency: int,
        retry: Retry,
        crashes: int,
        events_after: EventsAfter,
        gaps: Literal["fill", "ignore"],
        on_gap: Callable[[Gap], None] | None,
    ) -> None:
        self.name = name
        """The name of its durable queue, and what events are remembered under."""
        self._bus = bus
        self._queue = subscriber_queue(name, patterns, crashes=crashes)
        self._earlier_queue = queue_of_earlier_versions(name, patterns, crashes=crashes)
        self._deduplication = deduplication
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._retry = retry
        self._events_after = events_after
        self._watches_gaps = gaps == "fill" and _cover_a_whole_life(patterns)
        self._on_gap = on_gap or _log_gap
        self._routes: list[_Route] = []
        self._positions = Positions()
        self._in_order = KeyedExecutor(self._deal_with)
        self._stopping = asyncio.Event()

    def on(self, pattern: str = "batch.#", *, replays: Replays = "process") -> Callable[[EventHandler], EventHandler]:
        """Decorates a handler of events whose routing key matches. If several match, the first one counts."""

        def register(handler: EventHandler) -> EventHandler:
            self._routes.append(_Route(pattern, handler, replays))
            return handler

        return register

    async def run(self) -> None:
        """Hand events to the handlers until `stop` is called, or this is cancelled.

        Handlers that run by then have 10 seconds to end. Raises: `TopologyMismatch`, `BusUnavailable` (at the start).
        """
        if not self._routes:
            raise ValueError(f"the subscriber {self.name} has no handlers: register them with on()")
        async with self._consuming():
            await self._stopping.wait()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    @asynccontextmanager
    async def received(self) -> AsyncIterator[AsyncIterator[Received]]:
        """Events to be settled one by one, up to `concurrency` of them open at a time. What is left open comes again."""
        if self._routes:
            raise ValueError(f"the subscriber {self.name} has handlers: run() it")
        arrived: asyncio.Queue[Received] = asyncio.Queue()
        unsettled: set[Received] = set()

        async def hand_over(event: Event) -> None:
            received = Received(event)
            unsettled.add(received)
            arrived.put_nowait(received)
            try:
                await received.settled()
            finally:
                unsettled.discard(received)

        self.on("#")(hand_over)
        async with self._consuming():
            try:
                async with aclosing(_each(arrived)) as each:
                    yield each
            finally:
                self._stopping.set()
                for received in unsettled:
                    received.fail(_Stopped())

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Events, each of which is dealt with when the next one is asked for. The last one comes again if none is."""
        async with self.received() as received, aclosing(_acknowledged(received)) as events:
            yield events

    @asynccontextmanager
    async def _consuming(self) -> AsyncIterator[None]:
        await self._bus.declare(parked_queue(self.name))
        prefetch = self._concurrency * _IN_ADVANCE
        try:
            consumer = await self._bus.consume(self._queue, self._take, prefetch=prefetch)
        except TopologyMismatch as mismatch:
            # It may be there from before subscribers had an exchange to park with, and is as good.
            try:
                consumer = await self._bus.consume(self._earlier_queue, self._take, prefetch=prefetch)
            except TopologyMismatch:
                raise mismatch from None
        try:
            yield
        finally:
            # Not paused first: while handlers end, another process would be served, and overtake them.
            self._stopping.set()
            await self._in_order.close(_GRACE_SECONDS)
            await consumer.close()

    async def _take(self, delivery: Delivery) -> None:
        try:
            event = event_in(delivery.message)
        except InvalidEvent as error:
            await self._park(delivery, f"not an event that can be read: {error}", Record())
            await delivery.ack()
            return
        self._in_order.add(event.subject or event.id, event.sequence or 0, _Item(event, delivery))

    async def _deal_with(self, item: _Item) -> None:
        with suppress(_Stopped):
            for missing in await self._missing_before(item.event):
                await self._handle(_Item(missing, None))
                self._positions.advance(missing)
            await self._handle(item)
            self._positions.advance(item.event)
            if item.delivery is not None:
                await item.delivery.ack()

    async def _handle(self, item: _Item) -> None:
        """Returns once the event is handled, parked, or has no handler. Raises: `_Stopped`."""
        event = item.event
        handler = self._handler_for(event)
        if handler is None:
            return
        key = Key.of(self.name, event)
        record = await self._until_it_works(partial(self._deduplication.look_up, key))
        reason = "it has failed too often"
        while not record.handled and record.failures < self._retry.tries:
            try:
                async with self._slots:
                    self._go_on()
                    await handler(event)
            except _Stopped:
                raise
            except Exception as error:
                # Every error goes to the log and to the record of the event, and in the end to operators.
                _logger.warning("%s: %s of %s failed", self.name, event.type, event.subject, exc_info=True)
                reason = f"{type(error).__name__}: {error}"
                record = await self._until_it_works(partial(self._deduplication.failed, key, event, reason))
                if record.failures < self._retry.tries:
                    await self._pause(self._retry.pause(record.failures))
            else:
                await self._until_it_works(partial(self._deduplication.handled, key, event))
                return
        if not record.handled:
            await self._park(item.delivery or event, reason, record)
            await self._until_it_works(partial(self._deduplication.parked, key, event))

    def _handler_for(self, event: Event) -> EventHandler | None:
        key = key_of(event)
        route = next((route for route in self._routes if topics.matches(route.pattern, key)), None)
        return route.handler_for(event) if route else None

    async def _missing_before(self, event: Event) -> list[Event]:
        """What is between the job's last event that was handled and this one."""
        job_id, sequence = event.subject, event.sequence
        if not self._watches_gaps or sequence is None or job_id is None or event.replayid:
            return []
        last = self._positions.last(event)
        if last is None:
            last = await self._until_it_works(partial(self._deduplication.last_sequence, self.name, job_id))
        if last is None or sequence <= last + 1:
            return []
        try:
            found = [each for each in await self._events_after(job_id, last) if (each.sequence or 0) < sequence]
        except (BusError, HistoryUnavailable) as error:
            _logger.warning("%s: the history of %s cannot be read: %s", self.name, job_id, error)
            found = []
        if len(found) < sequence - last - 1:
            self._on_gap(Gap(job_id, last, sequence))
        return found

    async def _park(self, what: Delivery | Event, reason: str, record: Record) -> None:
        message = parked(what, self.name, reason, record, datetime.now(UTC))
        _logger.error("%s: parked %s: %s", self.name, message.message_id, reason)

        async def put_aside() -> None:
            await self._bus.declare(parked_queue(self.name))
            await self._bus.publish(parking_exchange(self.name), message, mandatory=True)

        await self._until_it_works(put_aside)

    async def _until_it_works(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """For the database and the broker, which may be away for a while. Raises: `_Stopped`."""
        backoff = Backoff()
        while True:
            try:
                return await call()
            except Exception:
                # What a store raises is its own affair; the log has it, and no event is lost meanwhile.
                _logger.warning("%s: the database or the broker fails; it is tried again", self.name, exc_info=True)
            self._go_on()
            await backoff.wait()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        self._go_on()

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise _Stopped


class _Stopped(Exception):
    """The subscriber ends; what it has not dealt with goes back to the queue."""


def _cover_a_whole_life(patterns: Sequence[str]) -> bool:
    """Whether a job's every lifecycle event matches, so that `sequence` counts what arrives without a gap."""
    keys = [topics.routing_key(f"batch.{word}", "type", "job") for word in topics.LIFECYCLE]
    return any(all(topics.matches(pattern, key) for key in keys) for pattern in patterns)


def _log_gap(gap: Gap) -> None:
    _logger.warning("%s: the events between %d and %d are missing", gap.job_id, gap.after, gap.before)


async def _each(arrived: asyncio.Queue[Received]) -> AsyncGenerator[Received, None]:
    while True:
        yield await arrived.get()


async def _acknowledged(received: AsyncIterator[Received]) -> AsyncGenerator[Event, None]:
    async for each in received:
        yield each.event
        each.ack()

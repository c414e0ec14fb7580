"""What another service calls: create, confirm and cancel jobs, follow one, subscribe to events.

    async with Client.connect("amqp://localhost", source="shop") as client:
        job_id = await client.create("product-import", {"fileKey": "products.csv"})
        async for event in client.follow(job_id):
            print(event.type, event.data)

In tests, `Client(MemoryBus(), source="shop")` works in the same way; see `batchbus_events.testing`.
"""

from __future__ import annotations

import asyncio
import logging
import time as clock
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

from batchbus_events import topics
from batchbus_events.bus import Bus, Delivery, Message
from batchbus_events.catalog import TRIGGERS, CreateBatch, parse_trigger, requested_job_id
from batchbus_events.deduplication import Deduplication, MemoryDeduplication
from batchbus_events.event import Event, Json, encode
from batchbus_events.following import HistoryOf, JobCanceled, JobFailed, TriggerRejected, following, own_queue
from batchbus_events.history import History, HistoryUnavailable
from batchbus_events.ids import new_job_id, new_ulid, ulid_seconds
from batchbus_events.reading import read_event
from batchbus_events.since import events_since
from batchbus_events.subscriber import Gap, Retry, Subscriber
from batchbus_events.tasks import merged
from batchbus_events.topics import Binding, Queue

__all__ = ["Client"]

_logger = logging.getLogger(__name__)

_PREFETCH: Final = 100
_ANSWER_SECONDS: Final = 10.0
"""How long an answer to a trigger may take."""
_CLOCK_SKEW: Final = 3_600.0
_LOG_AGE: Final = 30 * 86_400.0


class Client:
    """A service on the bus. `source` names it: a URI-reference such as `shop` or `https://shop.example/checkout`."""

    def __init__(self, bus: Bus, *, source: str, history: History | None = None) -> None:
        """`history` is where to ask for what the broker's log does not have, such as a `history.HttpHistory`."""
        self._bus = bus
        self._source = source
        self._history = history

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, source: str, history: History | None = None) -> AsyncIterator[Client]:
        """A client on the RabbitMQ at `amqp://` or `amqps://`. Takes the extra `batchbus-events[client]`.

        Declares nothing but the queues of its own subscriptions. Raises: `BusUnavailable`.
        """
        try:
            from batchbus_events.rabbitmq import RabbitBus  # here, so that everything else works with pydantic alone
        except ModuleNotFoundError as error:
            raise ImportError("RabbitMQ takes aio-pika: pip install 'batchbus-events[client]'") from error
        async with RabbitBus.open(url, name=source, declare=False) as bus:
            yield cls(bus, source=source, history=history)

    async def create(
        self,
        batch_type: str,
        context: Mapping[str, Json] | None = None,
        *,
        dry_run: bool = False,
        created_by: str | None = None,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        require_type: bool = False,
        traceparent: str | None = None,
    ) -> str:
        """Ask for a job, and return its id once the request is safe with the broker.

        With `dry_run` the job stops after pre-processing until it is confirmed. The same `idempotency_key`, or the same
        `job_id` (`ids.new_job_id` makes one), asks for the same job: use one of them to repeat a call that failed.

        With `require_type` it waits for an answer, ten seconds at most, and there is no job if no process serves the batch
        type at that moment. Without it such a job waits for a process that does, and `batch.updated` says so after a while.

        Raises: `InvalidEvent`, `BusUnavailable`, `PublishRefused`, `Unroutable` if no batchbus has ever run there; with
        `require_type` also `TriggerRejected`, and `TimeoutError` if no answer comes: then the job may be made later;
        `ValueError` for an `idempotency_key` where the client does not know its own user, as keys are the user's.
        """
        if idempotency_key is not None and self._bus.vouches and self._bus.user is None:
            raise ValueError(
                "An idempotency key belongs to the broker's user, and with a client certificate only the address says which one "
                "that is: amqps://NAME@host/?auth=external. Or give a job_id of your own, which names one job as well"
            )
        history: HistoryOf = self.history
        data: dict[str, Json] = {"type": batch_type, "context": dict(context or {}), "dry_run": dry_run}
        if created_by is not None:
            data["created_by"] = created_by
        if idempotency_key is not None:
            data["idempotency_key"] = idempotency_key
        elif job_id is None:
            job_id, history = new_job_id(), _no_history
        if require_type:
            data["require_type"] = True
        event = self._trigger("batch.created", job_id, data, traceparent)
        request = parse_trigger(event)
        assert isinstance(request, CreateBatch)
        made = requested_job_id(event, request, self._bus.user)
        publish = partial(self._publish, event, topics.routing_key(event.type, batch_type))
        if require_type:
            await self._answered(made, event.id, publish, history)
        else:
            await publish()
        return made

    async def _answered(
        self, job_id: str, trigger_id: str, publish: Callable[[], Awaitable[None]], history: HistoryOf
    ) -> None:
        """Publish a trigger, and wait until there is its job. Raises: `TriggerRejected`, `TimeoutError`."""
        async with following(self._bus, job_id, history) as events:
            await publish()
            async with asyncio.timeout(_ANSWER_SECONDS):
                async for event in events:
                    if event.type == "batch.rejected" and event.causationid == trigger_id:
                        raise TriggerRejected(event)
                    if event.sequence is not None:
                        return

    async def confirm(
        self, job_id: str, *, plan_digest: str | None = None, reason: str | None = None, traceparent: str | None = None
    ) -> None:
        """Let a dry run go on. If it cannot, that is announced with `batch.rejected`. Raises: see `create`.

        `plan_digest` is that of the plan that you have seen, from the data of `batch.pre_processed`: then no other plan is
        carried out. A confirmation that comes before the plan is there is compared, and perhaps rejected, when it is.
        """
        await self._about("batch.confirmed", job_id, {"plan_digest": plan_digest, "reason": reason}, traceparent)

    async def cancel(self, job_id: str, *, reason: str | None = None, traceparent: str | None = None) -> None:
        """Cancel a job. If it cannot be, that is announced with `batch.rejected`. Raises: see `create`."""
        await self._about("batch.canceled", job_id, {"reason": reason}, traceparent)

    @asynccontextmanager
    async def subscribe(
        self, pattern: str, *, queue: str | None = None, since: datetime | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """Every event from now on whose routing key matches the topic pattern, such as `batch.progress.#`.

        Without `queue` and `since` the subscription ends with the connection, and misses what happens until it is back.
        With `queue`, a name, events wait in a durable queue of that name until it is read, and one may come twice;
        each is acknowledged when the next one is asked for. See `subscriber` for more than that.

        With `since`, an aware time, lifecycle events come from that time on: first those of the past, from the broker's
        log, then each as it happens; in order for each job, none missing and none twice, through whatever happens to
        the connection, the broker and its log. Where the log does not reach, the client's history is asked. What is not
        kept, `batch.progress` and `batch.rejected`, is among them as it passes.
        Raises: `BusUnavailable`, `since.LogTruncated` without a history, `HistoryUnavailable` at the start with one.
        """
        if since is None:
            async with self._live(pattern, queue) as live:
                yield live
            return
        if queue is not None:
            raise ValueError("a queue has its own past: give either queue or since")
        async with AsyncExitStack() as stack:
            events = events_since(self._bus, self._history, pattern, since)
            if _may_pass(pattern):
                live = await stack.enter_async_context(self._live(pattern, None))
                events = merged(events, _without_sequence(live))
            yield await stack.enter_async_context(aclosing(events))

    @asynccontextmanager
    async def _live(self, pattern: str, queue: str | None) -> AsyncIterator[AsyncGenerator[Event, None]]:
        spec = own_queue(self._bus.user, pattern) if queue is None else _durable_queue(queue, pattern)
        arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        consumer = await self._bus.consume(spec, arrived.put, prefetch=_PREFETCH)
        try:
            async with aclosing(_events(arrived)) as events:
                yield events
        finally:
            await consumer.close()

    def subscriber(
        self,
        name: str,
        patterns: Sequence[str],
        *,
        deduplication: Deduplication | None = None,
        concurrency: int = 10,
        retry: Retry | None = None,
        crashes: int = 20,
        gaps: Literal["fill", "ignore"] = "fill",
        on_gap: Callable[[Gap], None] | None = None,
    ) -> Subscriber:
        """A subscriber with a durable queue, called `name`, of events that match one of the patterns: see `subscriber`.

        `deduplication` is where it remembers events, by default in memory. `concurrency` is how many handlers run at a
        time. After `crashes` deliveries whose process ended before it acknowledged them, the broker parks an event.
        `gaps` says whether what is missing of a job is looked for in its history; `on_gap` is told what is not found, by
        default the log.
        """
        return Subscriber(
            self._bus,
            name,
            patterns,
            deduplication=deduplication or MemoryDeduplication(),
            concurrency=concurrency,
            retry=retry or Retry(),
            crashes=crashes,
            events_after=lambda job_id, last: self.history(job_id, after=last),
            gaps=gaps,
            on_gap=on_gap,
        )

    async def follow(self, job_id: str, *, timeout: float | None = None) -> AsyncGenerator[Event, None]:
        """Every event of one job, from its first to the one that ends it, in order, none twice.

        `batch.progress` and `batch.rejected` are among them as they come; they have no `sequence`. Whoever leaves
        before the end closes it (`contextlib.aclosing`). Raises `TimeoutError` if the job has not ended after `timeout`
        seconds, the time that the caller takes for each event included; the job goes on.
        """
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        async with following(self._bus, job_id, self.history) as events:
            while True:
                async with asyncio.timeout_at(deadline):
                    event = await anext(events, None)
                if event is None:
                    return
                yield event

    async def result(self, job_id: str, *, timeout: float | None = None) -> Mapping[str, Json]:
        """Wait until the job has ended, and return the data of its `batch.completed`, with the numbers of its result.

        Raises: `JobFailed`, `JobCanceled`; `TriggerRejected` if there is no job, since what should have made it was
        rejected; `TimeoutError` if it has not ended after `timeout` seconds, as a dry run that nobody confirms.
        """
        known = False
        async with aclosing(self.follow(job_id, timeout=timeout)) as events:
            async for event in events:
                known = known or event.sequence is not None
                match event.type:
                    case "batch.completed":
                        return event.data
                    case "batch.failed":
                        raise JobFailed(event)
                    case "batch.canceled":
                        raise JobCanceled(event)
                    case "batch.rejected" if not known and event.data.get("trigger") == "batch.created":
                        raise TriggerRejected(event)
        raise AssertionError("following a job ends with the event that ends it")

    async def history(self, job_id: str, *, after: int = 0) -> list[Event]:
        """The job's lifecycle events with a `sequence` greater than `after`, in order.

        From the history that the client was given; without one, or while it cannot be asked, from the log.
        """
        if self._history is not None:
            try:
                async with aclosing(self._history.of_job(job_id, after=after)) as events:
                    return [event async for event in events]
            except HistoryUnavailable as error:
                _logger.warning("%s; the log is read instead", error)
        found: dict[int, Event] = {}
        async for message in self._bus.read_log(since=_not_before(job_id)):
            event = read_event(message) if message.routing_key.endswith(job_id) else None
            if event is not None and event.sequence is not None and event.sequence > after:
                found.setdefault(event.sequence, event)
        return [found[sequence] for sequence in sorted(found)]

    async def _about(
        self, event_type: str, job_id: str, data: Mapping[str, str | None], traceparent: str | None
    ) -> None:
        given: dict[str, Json] = {name: value for name, value in data.items() if value is not None}
        event = self._trigger(event_type, job_id, given, traceparent)
        parse_trigger(event)
        await self._publish(event, topics.routing_key(event_type))

    def _trigger(self, event_type: str, job_id: str | None, data: Mapping[str, Json], traceparent: str | None) -> Event:
        return Event(
            type=event_type,
            source=self._source,
            id=new_ulid(),
            time=datetime.now(UTC),
            subject=job_id,
            dataschema=TRIGGERS[event_type].schema_for(data),
            traceparent=traceparent,
            data=data,
        )

    async def _publish(self, event: Event, routing_key: str) -> None:
        message = Message(body=encode(event), routing_key=routing_key, message_id=event.id)
        await self._bus.publish(topics.TRIGGERS, message, mandatory=True)


async def _no_history(job_id: str, *, after: int = 0) -> list[Event]:
    """Of a job whose id was made a moment ago."""
    return []


async def _events(arrived: asyncio.Queue[Delivery]) -> AsyncGenerator[Event, None]:
    while True:
        delivery = await arrived.get()
        event = read_event(delivery.message)
        if event is not None:
            yield event
        await delivery.ack()


async def _without_sequence(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    async for event in events:
        if event.sequence is None:
            yield event


def _may_pass(pattern: str) -> bool:
    """Whether the pattern may match events that are in no log."""
    words = pattern.split(".")
    return "#" in words[:2] or len(words) < 2 or words[1] not in topics.LIFECYCLE


def _durable_queue(name: str, pattern: str) -> Queue:
    return Queue(name=name, bindings=(Binding(topics.EVENTS, pattern),), arguments={"x-queue-type": "quorum"})


def _not_before(job_id: str) -> datetime | None:
    """From when on the log may tell of the job; None if its id does not show that, as it was derived from a key."""
    made = ulid_seconds(job_id.removeprefix("batch_"))
    age = clock.time() - made
    if -_CLOCK_SKEW <= age <= _LOG_AGE:
        return datetime.fromtimestamp(made - _CLOCK_SKEW, UTC)
    return None

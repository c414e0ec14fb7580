"""The Bus in one process and one event loop: the embedded default, and the fake that tests use.

It keeps no message longer than the process lives. The queues `batchbus.triggers` and `batchbus.parked` exist from
the start, so that nothing published early is lost; every other queue exists from its first consumer on.

Publishing a trigger returns when it is acknowledged, that is, when the job is persisted, as long as a consumer is
attached to `batchbus.triggers`; without one it returns at once, and the trigger waits in the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Final, Self

from batchbus_events import topics
from batchbus_events.bus import (
    ROUTING_KEY,
    USER_ID,
    BusError,
    BusUnavailable,
    Handler,
    LogGap,
    Message,
    PublishRefused,
    QueueState,
    Unroutable,
)
from batchbus_events.topics import Queue

__all__ = ["MemoryBus"]

_FANOUTS: Final = frozenset(exchange.name for exchange in topics.EXCHANGES if exchange.kind == "fanout")
_LOG_SIZE: Final = 10_000
_logger = logging.getLogger(__name__)


class MemoryBus:
    """A `Bus` without a broker. Use it as `async with MemoryBus() as bus`.

    `publish_timeout` is how long, in seconds, publishing a trigger waits for its acknowledgement; `log_size` is how
    many lifecycle events the log holds.
    """

    def __init__(
        self,
        *,
        hold_seconds: float = topics.HOLD_SECONDS,
        publish_timeout: float = 10.0,
        log_size: int = _LOG_SIZE,
    ) -> None:
        self._hold_seconds = hold_seconds
        self._publish_timeout = publish_timeout
        self._queues: dict[str, _Queue] = {}
        self._log: deque[tuple[datetime, Message]] = deque(maxlen=log_size)
        self._logged = 0
        self._tails: set[asyncio.Event] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        self._declare(topics.TRIGGERS_QUEUE)
        self._declare(topics.PARKED_QUEUE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        for timer in self._timers:
            timer.cancel()
        for queue in list(self._queues.values()):
            for consumer in list(queue.consumers):
                await consumer.close()

    @property
    def user(self) -> str | None:
        return None

    @property
    def vouches(self) -> bool:
        return False

    @property
    def connected(self) -> bool:
        return self._open

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        if not self._open:
            raise BusUnavailable("the memory bus is closed")
        message = self._vouched(exchange, message)
        if exchange != topics.MARKERS and _routed(topics.LOG_QUEUE, exchange, message):
            self._log.append((datetime.now(UTC), message))
            self._logged += 1
            for tail in self._tails:
                tail.set()
        queues = [queue for queue in self._queues.values() if _routed(queue.spec, exchange, message)]
        if mandatory and not queues:
            raise Unroutable(f"no queue is bound to {exchange} for {message.routing_key}")
        if not exchange and ROUTING_KEY in message.headers:
            others = {name: value for name, value in message.headers.items() if name not in (ROUTING_KEY, USER_ID)}
            message = replace(message, routing_key=str(message.headers[ROUTING_KEY]), headers=others)
        full = [queue.spec.name for queue in queues if queue.refuses]
        copies = [(queue, _Copy(message)) for queue in queues if not queue.refuses]
        for queue, copy in copies:
            queue.append(copy)
        if full:
            raise PublishRefused(f"the queue {full[0]} is full")
        for queue, copy in copies:
            if queue.spec is topics.TRIGGERS_QUEUE and queue.consumers:
                await self._settled(copy)

    async def publish_all(self, exchange: str, messages: Sequence[Message]) -> tuple[int, BusError | None]:
        for number, message in enumerate(messages):
            try:
                await self.publish(exchange, message)
            except BusError as error:
                return number, error
        return len(messages), None

    def _vouched(self, _exchange: str, message: Message) -> Message:
        """The message with its publisher, as its readers are to see it: there is no broker to vouch for one."""
        return replace(message, user_id=None) if message.user_id else message

    async def consume(
        self, queue: Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> _Consumer:
        if not self._open:
            raise BusUnavailable("the memory bus is closed")
        consumer = _Consumer(self, self._declare(queue), handler, prefetch)
        await consumer.resume()
        return consumer

    async def read_log(self, *, since: datetime | None = None) -> AsyncIterator[Message]:
        for time, message in list(self._log):
            if since is None or time >= since:
                yield message

    async def tail_log(self, *, since: datetime | None = None) -> AsyncGenerator[Message | LogGap, None]:
        if not self._open:
            raise BusUnavailable("the memory bus is closed")
        older = sum(since is not None and time < since for time, _ in self._log)
        place = self._log_begins + older
        if not older:
            yield LogGap(certain=self._log_begins > 0)
        something = asyncio.Event()
        self._tails.add(something)
        try:
            while True:
                something.clear()
                if place < self._log_begins:
                    place = self._log_begins
                    yield LogGap(certain=True)
                    continue  # the log has moved on meanwhile
                for _, message in list(islice(self._log, place - self._log_begins, None)):
                    place += 1
                    yield message
                if place == self._logged:
                    await something.wait()
        finally:
            self._tails.discard(something)

    async def declare(self, queue: Queue) -> None:
        if not self._open:
            raise BusUnavailable("the memory bus is closed")
        self._declare(queue)

    async def inspect(self, queue: str) -> QueueState | None:
        if not self._open:
            raise BusUnavailable("the memory bus is closed")
        if queue == topics.HELD_QUEUE.name:
            return QueueState(len(self._timers), 0)
        found = self._queues.get(queue)
        return QueueState(found.waiting, len(found.consumers)) if found else None

    def hold(self, copy: _Copy) -> None:
        """Put a message back into `batchbus.triggers` when it has rested."""

        def release() -> None:
            self._timers.discard(timer)
            self._queues[topics.TRIGGERS_QUEUE.name].append(_Copy(copy.message))

        timer = asyncio.get_running_loop().call_later(self._hold_seconds, release)
        self._timers.add(timer)

    def dead_letter(self, queue: Queue, message: Message) -> None:
        """Park a message that was put back too often."""
        exchange = str(queue.arguments.get("x-dead-letter-exchange", ""))
        key = str(queue.arguments.get("x-dead-letter-routing-key", message.routing_key))
        reason = {"x-first-death-reason": "delivery_limit", "x-first-death-queue": queue.name}
        dead = replace(message, routing_key=key, headers={**message.headers, **reason})
        for target in self._queues.values():
            if _routed(target.spec, exchange, dead):
                target.append(_Copy(dead))

    def forget(self, queue: _Queue) -> None:
        """Take away a queue that has ended with its consumer."""
        self._queues.pop(queue.spec.name, None)

    @property
    def _log_begins(self) -> int:
        return self._logged - len(self._log)

    def _declare(self, spec: Queue) -> _Queue:
        return self._queues.setdefault(spec.name, _Queue(spec))

    async def _settled(self, copy: _Copy) -> None:
        try:
            async with asyncio.timeout(self._publish_timeout):
                await copy.settled.wait()
        except TimeoutError:
            raise BusUnavailable(f"nobody acknowledged {copy.message.routing_key} in time") from None


def _routed(queue: Queue, exchange: str, message: Message) -> bool:
    if not exchange:
        return queue.name == message.routing_key
    return any(
        binding.exchange == exchange and (exchange in _FANOUTS or topics.matches(binding.pattern, message.routing_key))
        for binding in queue.bindings
    )


@dataclass(slots=True, eq=False)
class _Copy:
    """One message in one queue. `settled` is set once no more is to be expected of its consumer."""

    message: Message
    deliveries: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class _Queue:
    """Messages that wait, and the consumers that take turns with them."""

    def __init__(self, spec: Queue) -> None:
        self.spec = spec
        self.consumers: deque[_Consumer] = deque()
        limit = spec.arguments.get("x-max-length")
        self._limit = int(limit) if limit is not None else None
        self._one_at_a_time = bool(spec.arguments.get("x-single-active-consumer"))
        self._rejects = spec.arguments.get("x-overflow") == "reject-publish"
        self._waiting: deque[_Copy] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def refuses(self) -> bool:
        return self._rejects and self._limit is not None and len(self._waiting) >= self._limit

    def append(self, copy: _Copy) -> None:
        self._waiting.append(copy)
        self.dispatch()
        if self._limit is not None and len(self._waiting) > self._limit:
            self._waiting.popleft().settled.set()

    def put_back(self, copies: list[_Copy]) -> None:
        """At the head, where they came from, oldest first."""
        self._waiting.extendleft(reversed(copies))
        self.dispatch()

    def detach(self, consumer: _Consumer) -> None:
        self.consumers.remove(consumer)
        self.dispatch()
        if not self.consumers:
            for copy in self._waiting:
                copy.settled.set()

    def dispatch(self) -> None:
        while self._waiting:
            served = islice(self.consumers, 1) if self._one_at_a_time else self.consumers
            consumer = next((consumer for consumer in served if consumer.ready), None)
            if consumer is None:
                return
            if not self._one_at_a_time:
                self.consumers.remove(consumer)
                self.consumers.append(consumer)
            consumer.deliver(self._waiting.popleft())


class _Consumer:
    """Hands the messages of one queue to a handler, each in a task of its own."""

    def __init__(self, bus: MemoryBus, queue: _Queue, handler: Handler, prefetch: int) -> None:
        self.bus = bus
        self.queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._paused = False
        self._closed = False
        self._open: dict[_Delivery, _Copy] = {}
        self._running: set[asyncio.Task[None]] = set()
        queue.consumers.append(self)

    @property
    def ready(self) -> bool:
        return not self._paused and not self._closed and len(self._open) < self._prefetch

    async def pause(self) -> None:
        self._paused = True

    async def resume(self) -> None:
        self._paused = False
        self.queue.dispatch()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        others = self._running - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        back = list(self._open.values())
        self._open.clear()
        self.queue.put_back(back)
        self.queue.detach(self)
        if self.queue.spec.exclusive:
            self.bus.forget(self.queue)

    def deliver(self, copy: _Copy) -> None:
        copy.deliveries += 1
        delivery = _Delivery(self, copy)
        self._open[delivery] = copy
        task = asyncio.get_running_loop().create_task(self._handle(delivery))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def take(self, delivery: _Delivery) -> _Copy | None:
        """Close a delivery; None if it is closed already."""
        copy = self._open.pop(delivery, None)
        if copy is not None:
            self.queue.dispatch()
        return copy

    async def _handle(self, delivery: _Delivery) -> None:
        try:
            await self._handler(delivery)
        except Exception:  # by contract it is logged, and the delivery stays open
            _logger.exception("the handler of %s failed on %s", self.queue.spec.name, delivery.message.routing_key)


class _Delivery:
    """A `Delivery` of a memory queue."""

    def __init__(self, consumer: _Consumer, copy: _Copy) -> None:
        self.message = copy.message
        self.redelivered = copy.deliveries > 1
        self._consumer = consumer

    async def ack(self) -> None:
        copy = self._consumer.take(self)
        if copy is not None:
            copy.settled.set()

    async def requeue(self) -> None:
        copy = self._consumer.take(self)
        if copy is None:
            return
        queue = self._consumer.queue
        if copy.deliveries > int(queue.spec.arguments.get("x-delivery-limit", copy.deliveries)):
            self._consumer.bus.dead_letter(queue.spec, copy.message)
            copy.settled.set()
        else:
            queue.put_back([copy])

    async def hold(self) -> None:
        copy = self._consumer.take(self)
        if copy is not None:
            self._consumer.bus.hold(_Copy(copy.message.held(datetime.now(UTC))))
            copy.settled.set()

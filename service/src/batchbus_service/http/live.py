"""Live events for any number of readers: one subscription per process, fanned out in memory.

A reader that does not keep up loses nothing but progress: a newer progress event takes the place of an older one of the
same job. One that falls far behind all the same is cut off, and finds what it missed in the history when it comes back.
No reader ever holds up another, nor the bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Consumer, Delivery, Message
from batchbus_events.event import Event, InvalidEvent, decode
from batchbus_events.ids import new_ulid

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["CutOff", "LiveEvent", "LiveFeed", "LiveReader"]

_BUFFER: Final = 1000
"""Events that wait for one reader."""
_PREFETCH: Final = 500
_QUEUE_LENGTH: Final = 50_000


class CutOff(Exception):
    """The reader is too far behind, or the feed has ended."""


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event, as it came and as it is to be told."""

    routing_key: str
    event: Event
    text: str
    """The event's envelope as JSON."""

    @classmethod
    def of(cls, message: Message) -> LiveEvent:
        """Raises `InvalidEvent`."""
        return cls(message.routing_key, decode(message.body), message.body.decode())


class LiveReader:
    """What one reader has not read yet. `job_id` and `pattern` say what it reads: one of them is given."""

    def __init__(self, *, job_id: str | None = None, pattern: str | None = None) -> None:
        self.job_id = job_id
        self.pattern = pattern
        self._waiting: dict[str, LiveEvent] = {}
        self._something = asyncio.Event()
        self._cut_off = False

    async def next(self, timeout: float) -> LiveEvent | None:
        """The next event; None if there is none for `timeout` seconds. Raises `CutOff`."""
        if not self._waiting and not self._cut_off:
            self._something.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._something.wait()
            except TimeoutError:
                return None
        if self._cut_off:
            raise CutOff
        return self._waiting.pop(next(iter(self._waiting)))

    def put(self, live: LiveEvent) -> None:
        key = live.event.id
        if live.event.type == "batch.progress":
            key = f"progress of {live.event.subject}"
            self._waiting.pop(key, None)
        if len(self._waiting) >= _BUFFER:
            self.cut_off()
            return
        self._waiting[key] = live
        self._something.set()

    def cut_off(self) -> None:
        self._cut_off = True
        self._waiting.clear()
        self._something.set()


class LiveFeed:
    """One per process. It subscribes when the first reader comes, and stays until it is closed."""

    def __init__(self, bus: Bus, log: FilteringBoundLogger) -> None:
        self._bus = bus
        self._log = log
        self._by_job: dict[str, set[LiveReader]] = {}
        self._by_pattern: set[LiveReader] = set()
        self._subscribing = asyncio.Lock()
        self._consumer: Consumer | None = None
        self._closed = False

    async def open(self) -> None:
        """Subscribe, unless that is done or everything ends. Raises `BusUnavailable`."""
        async with self._subscribing:
            if self._consumer is None and not self._closed:
                self._consumer = await self._bus.consume(_queue(), self._take, prefetch=_PREFETCH)

    @asynccontextmanager
    async def reader(self, *, job_id: str | None = None, pattern: str = "batch.#") -> AsyncIterator[LiveReader]:
        """The events of one job, or those whose routing key matches `pattern`, from now on."""
        await self.open()
        reader = LiveReader(job_id=job_id) if job_id else LiveReader(pattern=pattern)
        group = self._by_job.setdefault(job_id, set()) if job_id else self._by_pattern
        group.add(reader)
        if self._closed:
            reader.cut_off()
        try:
            yield reader
        finally:
            group.discard(reader)
            if job_id and not group:
                self._by_job.pop(job_id, None)

    async def close(self) -> None:
        """End every reader's stream, and the subscription."""
        self._closed = True
        for reader in [*self._by_pattern, *(reader for group in self._by_job.values() for reader in group)]:
            reader.cut_off()
        if self._consumer:
            await self._consumer.close()

    async def _take(self, delivery: Delivery) -> None:
        message = delivery.message
        job_readers = self._by_job.get(message.routing_key.rpartition(".")[2], ())
        others = [r for r in self._by_pattern if r.pattern and topics.matches(r.pattern, message.routing_key)]
        if job_readers or others:
            try:
                live = LiveEvent.of(message)
            except InvalidEvent as error:
                self._log.warning("strange_event", routing_key=message.routing_key, reason=str(error))
            else:
                for reader in [*job_readers, *others]:
                    reader.put(live)
        await delivery.ack()


def _queue() -> topics.Queue:
    """A queue of this process alone, which ends with it and forgets its oldest when nobody takes them."""
    return topics.Queue(
        name=f"batchbus.http.{new_ulid()}",
        bindings=(topics.Binding(topics.EVENTS, "batch.#"),),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": _QUEUE_LENGTH},
    )

"""Live events for any number of readers: one subscription per process, fanned out in memory.

A reader that does not keep up loses nothing but progress: a newer progress event takes the place of an older one of the
same job. One that falls far behind all the same is cut off, and finds what it missed in the history when it comes back.
No reader ever holds up another, nor the bus.

What is done for each reader is next to nothing, since each event is decoded and encoded once. Progress, which a busy
job makes without end, is passed on the more rarely the more readers there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Consumer, Delivery, Message
from batchbus_events.event import Event, InvalidEvent, decode
from batchbus_events.ids import new_ulid
from batchbus_service.http.live.sse import frame
from batchbus_service.http.medusa.times import timestamp

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["CutOff", "LiveEvent", "LiveFeed", "LiveReader"]

_PROGRESS: Final = "batch.progress"
_BUFFER: Final = 1000
"""Events that wait for one reader."""
_PREFETCH: Final = 500
_QUEUE_LENGTH: Final = 50_000
_PASSED_ON_A_SECOND: Final = 1000
"""How many progress events are passed on in a second, to all readers together: at 50 us each, a twentieth of a processor."""
_KNOWN: Final = 10_000
"""Ids of the latest events, so that one that is published twice is passed on once."""
_PARTING: Final = 1.0
"""Seconds that a reader that is cut off has to take what is on its way."""


class CutOff(Exception):
    """The reader is too far behind, or the feed has ended."""


class LiveEvent:
    """One event, as it came and as readers get it. `text` is its envelope as JSON."""

    def __init__(self, routing_key: str, event: Event, text: str) -> None:
        self.routing_key = routing_key
        self.event = event
        self.text = text

    @classmethod
    def of(cls, message: Message) -> LiveEvent:
        """Raises `InvalidEvent`."""
        return cls(message.routing_key, decode(message.body), message.body.decode())

    @cached_property
    def in_its_job(self) -> bytes:
        """The frame in the stream of one job, where the event's sequence is its id."""
        sequence = self.event.sequence
        return frame(self.event.type, self.text, None if sequence is None else str(sequence))

    @cached_property
    def among_all(self) -> bytes:
        """The frame in the stream of all jobs, where its time and id are. Progress has neither: it is not stored."""
        stored = self.event.sequence is not None and self.event.time is not None
        return frame(self.event.type, self.text, f"{timestamp(self.event.time)}/{self.event.id}" if stored else None)


class LiveReader:
    """What one reader has not read yet. `job_id` and `pattern` say what it reads: one of them is given.

    `break_off` is called when a reader that was cut off does not come for that.
    """

    def __init__(
        self, *, job_id: str | None = None, pattern: str | None = None, break_off: Callable[[], None] = lambda: None
    ) -> None:
        self.job_id = job_id
        self.pattern = pattern
        self._break_off = break_off
        self._waiting: dict[str, LiveEvent] = {}
        self._something = asyncio.Event()
        self._left_out = 0
        self._missed = False
        self._cut_off = False
        self._parting: asyncio.TimerHandle | None = None

    async def next(self, timeout: float) -> LiveEvent | None:
        """The next event; None if there is none for `timeout` seconds, or some may have been missed.

        Raises `CutOff`.
        """
        if not (self._waiting or self._missed or self._cut_off):
            self._something.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._something.wait()
            except TimeoutError:
                return None
        if self._cut_off:
            raise CutOff
        if self._missed:
            self._missed = False
            return None
        return self._waiting.pop(next(iter(self._waiting)))

    def left_out(self) -> int:
        """How many progress events were passed over since this was asked last."""
        count, self._left_out = self._left_out, 0
        return count

    def put(self, live: LiveEvent) -> None:
        key = live.event.id
        if live.event.type == _PROGRESS:
            key = f"progress of {live.event.subject}"
            if self._waiting.pop(key, None):
                self._left_out += 1
        if len(self._waiting) >= _BUFFER:
            self.cut_off()
            return
        self._waiting[key] = live
        self._something.set()

    def missed(self) -> None:
        """Events may have passed unseen. Those of a job are in its history; for all others, the reader has to come back."""
        if self.job_id is None:
            self.cut_off()
        self._missed = True
        self._something.set()

    def cut_off(self) -> None:
        if not self._cut_off:
            self._parting = asyncio.get_running_loop().call_later(_PARTING, self._break_off)
        self._cut_off = True
        self._waiting.clear()
        self._something.set()

    def gone(self) -> None:
        if self._parting:
            self._parting.cancel()


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
        self._known: dict[str, None] = {}
        self._resting: dict[str, Message | None] = {}
        """Jobs whose progress was passed on a moment ago, and the latest that has come since."""

    @property
    def readers(self) -> int:
        """How many there are now."""
        return len(self._all_readers())

    async def open(self) -> None:
        """Subscribe, unless that is done or everything ends. Raises `BusUnavailable`."""
        async with self._subscribing:
            if self._consumer is None and not self._closed:
                self._consumer = await self._bus.consume(
                    _queue(), self._take, prefetch=_PREFETCH, on_rebuilt=self.rebuilt
                )

    @asynccontextmanager
    async def reader(
        self, *, job_id: str | None = None, pattern: str = "batch.#", break_off: Callable[[], None] = lambda: None
    ) -> AsyncIterator[LiveReader]:
        """The events of one job, or those whose routing key matches `pattern`, from now on.

        `break_off` is called for a reader that is cut off and a second later still there.
        """
        await self.open()
        reader = LiveReader(job_id=job_id, pattern=None if job_id else pattern, break_off=break_off)
        group = self._by_job.setdefault(job_id, set()) if job_id else self._by_pattern
        group.add(reader)
        if self._closed:
            reader.cut_off()
        try:
            yield reader
        finally:
            reader.gone()
            group.discard(reader)
            if job_id and not group and self._by_job.get(job_id) is group:
                del self._by_job[job_id]

    async def close(self) -> None:
        """End every reader's stream, and the subscription."""
        self._closed = True
        for reader in self._all_readers():
            reader.cut_off()
        if self._consumer:
            await self._consumer.close()

    def _all_readers(self) -> list[LiveReader]:
        return [*self._by_pattern, *(reader for group in self._by_job.values() for reader in group)]

    def rebuilt(self) -> None:
        """The queue was gone for a while."""
        for reader in self._all_readers():
            reader.missed()

    async def _take(self, delivery: Delivery) -> None:
        message = delivery.message
        if message.routing_key.startswith(f"{_PROGRESS}."):
            self._progress(message)
        elif self._is_news(message):
            job_id = _job_of(message)
            if last := self._resting.get(job_id):
                self._resting[job_id] = None
                self._pass_on(last)
            self._pass_on(message)
        await delivery.ack()

    def _is_news(self, message: Message) -> bool:
        if message.message_id is None:
            return True
        if message.message_id in self._known:
            return False
        self._known[message.message_id] = None
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        return True

    def _progress(self, message: Message) -> None:
        """Pass it on, unless this job's was passed on a moment ago: then the latest follows when that moment has passed."""
        job_id = _job_of(message)
        if job_id in self._resting:
            self._resting[job_id] = message
        elif readers := self._pass_on(message):
            self._resting[job_id] = None
            asyncio.get_running_loop().call_later(readers / _PASSED_ON_A_SECOND, self._rested, job_id)

    def _rested(self, job_id: str) -> None:
        if last := self._resting.pop(job_id):
            self._progress(last)

    def _pass_on(self, message: Message) -> int:
        """Returns to how many readers."""
        job_readers = self._by_job.get(_job_of(message), ())
        others = [r for r in self._by_pattern if r.pattern and topics.matches(r.pattern, message.routing_key)]
        readers = [*job_readers, *others]
        if readers:
            try:
                live = LiveEvent.of(message)
            except InvalidEvent as error:
                self._log.warning("strange_event", routing_key=message.routing_key, reason=str(error))
                return 0
            for reader in readers:
                reader.put(live)
        return len(readers)


def _job_of(message: Message) -> str:
    return message.routing_key.rpartition(".")[2]


def _queue() -> topics.Queue:
    """A queue of this process alone, which ends with it and drops its oldest messages when they are not taken."""
    return topics.Queue(
        name=f"batchbus.http.{new_ulid()}",
        bindings=(topics.Binding(topics.EVENTS, "batch.#"),),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": _QUEUE_LENGTH},
    )

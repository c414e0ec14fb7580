"""Reading `batchbus.log`, a stream of RabbitMQ's: up to the present, or on and on.

What a stream does not tell over AMQP 0-9-1, and how it is found out (as RabbitMQ 3.10 does it):

* Where it ends. An empty message, a marker, is put at its end, and reading goes up to that. Markers have an exchange of
  their own, so that a reader needs no right to write to another; earlier versions put them there through the default
  exchange. Every reader skips what has come through either.
* Where it begins, and whether that is before a time. The first entry there is is asked for as well: if reading from a
  time begins with that same entry, the log may not reach back to the time.
* That entries are gone. Retention removes whole segments, under a reader too, and a reader is then handed the first
  entry that is left. A new segment begins with an entry of the broker's own, so an offset that is 2 ahead is nothing.
* That it is another stream than before. An offset beyond its end is waited for in silence, so a reader that comes
  back asks for the last entry first, and for the one that it read last before it believes that nothing is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from batchbus_events import topics
from batchbus_events.backoff import Backoff
from batchbus_events.bus import Bus, BusUnavailable, LogGap, Message
from batchbus_events.ids import new_ulid
from batchbus_events.rabbitmq.connection import ANSWER_SECONDS, Background, Link, Wire, bus_errors, wire_of
from batchbus_events.rabbitmq.messages import received

__all__ = ["LogReader"]

_logger = logging.getLogger(__name__)

_PREFETCH: Final = 500
_NEW_SEGMENT: Final = 2
"""How far the next offset may be ahead without an entry missing."""
_UNREADABLE: Final = "the log cannot be read"

_Start = datetime | int | str
"""Where to begin: what is taken as `x-stream-offset`."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An entry of the stream: where it stands, and which one it was."""

    offset: int
    message_id: str | None


class LogReader:
    """One reading of the log of one bus: `read` and `tail` are `Bus.read_log` and `Bus.tail_log`."""

    def __init__(self, bus: Bus, link: Link, background: Background) -> None:
        self._bus = bus
        self._link = link
        self._background = background
        self._last: _Place | None = None

    async def read(self, since: datetime | None) -> AsyncIterator[Message]:
        async with self._attached(since or "first") as attached:
            marker = await self._mark()
            while True:
                message = await attached.next()
                if _is_entry(message):
                    yield received(message, self._bus.user)
                elif message.header.properties.message_id == marker:
                    return

    async def tail(self, since: datetime | None) -> AsyncGenerator[Message | LogGap, None]:
        backoff, clock = Backoff(), asyncio.get_running_loop().time
        begun, give_up_at = False, clock() + ANSWER_SECONDS
        while True:
            try:
                async with asyncio.timeout(None if begun else ANSWER_SECONDS):
                    await self._link.connection()
                start, gap = await self._start(since)
                async with aclosing(self._entries(start, gap)) as entries:
                    async for entry in entries:
                        begun = True
                        yield entry
            except TimeoutError:
                raise BusUnavailable(f"{_UNREADABLE}: no connection in time") from None
            except BusUnavailable as error:
                # A broker that removes a segment just as we begin to read there may close the connection over it.
                if not begun and clock() >= give_up_at:
                    raise
                _logger.info("%s; it is read again from where it broke off", error)
            await backoff.wait()

    async def _start(self, since: datetime | None) -> tuple[_Start, LogGap | None]:
        """Where to begin, and the gap that is there already."""
        if self._last is not None:
            await self._mark()  # behind what was read last, unless this is another stream
            last = await self._probe("last")
            if last.offset > self._last.offset:
                return self._last.offset, None
            self._last = None
            return "first", LogGap(certain=True)
        begin = await self._probe(since) if since else None
        first = await self._probe("first")
        reaches = begin is not None and begin.offset > first.offset
        return since or "first", None if reaches else LogGap(certain=first.offset > 0)

    async def _entries(self, start: _Start, gap: LogGap | None) -> AsyncGenerator[Message | LogGap, None]:
        again = self._last
        async with self._attached(start) as attached:
            if gap is not None:  # told only now, so that the log is held on to while someone fills the gap
                yield gap
            while True:
                message = await attached.next()
                before, self._last = self._last, _place(message)
                if again is not None:
                    same, again = again == self._last, None
                    if same:
                        continue
                    yield LogGap(certain=True)
                elif before is not None and self._last.offset > before.offset + _NEW_SEGMENT:
                    yield LogGap(certain=True)
                if _is_entry(message):
                    yield received(message, self._bus.user)

    async def _mark(self) -> str:
        marker = Message(body=b"", routing_key=topics.LOG_QUEUE.name, message_id=new_ulid())
        await self._bus.publish(topics.MARKERS, marker, mandatory=True)
        return str(marker.message_id)

    async def _probe(self, start: _Start) -> _Place:
        """The first entry that is read from there; if there is none yet, the marker."""
        with bus_errors(_UNREADABLE):
            async with asyncio.timeout(ANSWER_SECONDS), self._attached(start, prefetch=1) as attached:
                await self._mark()
                return _place(await attached.next())

    @asynccontextmanager
    async def _attached(self, start: _Start, *, prefetch: int = _PREFETCH) -> AsyncIterator[_Attached]:
        with bus_errors(_UNREADABLE):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._link.connection()
                channel = await connection.channel(publisher_confirms=False)
        try:
            with bus_errors(_UNREADABLE):
                async with asyncio.timeout(ANSWER_SECONDS):
                    wire = await wire_of(channel)
                    attached = _Attached(wire)
                    await channel.set_qos(prefetch)
                    offset: FieldTable = {"x-stream-offset": start}
                    await wire.basic_consume(topics.LOG_QUEUE.name, attached.arrive, arguments=offset)
            yield attached
        finally:
            self._background.close(channel)


class _Attached:
    """One consumer of the stream, while it lasts."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        wire.closing.add_done_callback(self._lost)
        wire.on_consumer_cancel_callbacks.add(self._lost)

    async def arrive(self, message: DeliveredMessage) -> None:
        self._arrived.put_nowait(message)

    async def next(self) -> DeliveredMessage:
        """The next entry, markers included. Raises: `BusUnavailable` when the consumer is lost."""
        message = await self._arrived.get()
        if message is None:
            raise BusUnavailable(f"{_UNREADABLE} to its end: the connection was lost")
        with bus_errors(_UNREADABLE):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._wire.basic_ack(message.delivery_tag or 0, wait=False)
        return message

    def _lost(self, _: object) -> None:
        self._arrived.put_nowait(None)


def _is_entry(message: DeliveredMessage) -> bool:
    """Whether it was published as an event, and is no marker."""
    return message.exchange not in ("", topics.MARKERS)


def _place(message: DeliveredMessage) -> _Place:
    properties = message.header.properties
    offset = (properties.headers or {})["x-stream-offset"]
    assert isinstance(offset, int)
    return _Place(offset, properties.message_id)

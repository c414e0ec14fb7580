"""Every event since a time, each once: from the log, from the history where the log does not reach, and then live.

The log is one source for the past and the present, so there is no seam between them. What may have been missed, because
the log was cut or made anew, is read from the history; and what has been told already is known by job and `sequence`,
which is why the two may overlap.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from batchbus_events import topics
from batchbus_events.backoff import Backoff
from batchbus_events.bus import Bus, BusError, LogGap, Message
from batchbus_events.event import Event
from batchbus_events.history import History, HistoryUnavailable
from batchbus_events.reading import key_of, read_event

__all__ = ["LogTruncated", "Positions", "events_since"]

_logger = logging.getLogger(__name__)

_EARLIER: Final = timedelta(minutes=5)
"""How far the broker's clock may be ahead of the one that events have their times from."""
_LATE: Final = timedelta(days=1)
"""How much later than its time an event may get into the log: as long as a broker may be away."""
_JOBS_REMEMBERED: Final = 1_000_000
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class LogTruncated(BusError):
    """The log no longer holds all that was asked for, and no history was given to read it from."""


class Positions:
    """The `sequence` up to which each job's events have been handed on, counted apart for each replay.

    The million jobs with the latest events are remembered.
    """

    def __init__(self, remember: int = _JOBS_REMEMBERED) -> None:
        self._remember = remember
        self._last: OrderedDict[tuple[str | None, str | None], int] = OrderedDict()

    def last(self, event: Event) -> int | None:
        """The `sequence` of the last event of the same job and replay that was handed on, or None."""
        return self._last.get((event.subject, event.replayid))

    def advance(self, event: Event) -> bool:
        """Whether the event is new. If it is, it counts as handed on from now on."""
        last = self.last(event)
        if event.sequence is None or (last is not None and event.sequence <= last):
            return False
        key = event.subject, event.replayid
        self._last[key] = event.sequence
        self._last.move_to_end(key)
        if len(self._last) > self._remember:
            self._last.popitem(last=False)
        return True


async def events_since(bus: Bus, history: History | None, pattern: str, since: datetime) -> AsyncGenerator[Event, None]:
    """Lifecycle events whose routing key matches, from `since` on, without end; in order for each job, each once.

    A replayed event counts from the time it was replayed, and is another one than the event itself.
    Raises: `BusUnavailable` and `HistoryUnavailable` at the start, `LogTruncated`.
    """
    reader = _Reader(bus, history, pattern, since)
    async with aclosing(reader.events()) as events:
        async for event in events:
            yield event


class _Reader:
    def __init__(self, bus: Bus, history: History | None, pattern: str, since: datetime) -> None:
        self._bus = bus
        self._history = history
        self._pattern = pattern
        self._since = since
        self._positions = Positions()
        self._newest = since
        self._begun = False

    async def events(self) -> AsyncGenerator[Event, None]:
        async with aclosing(self._bus.tail_log(since=self._since - _EARLIER)) as log:
            async for entry in log:
                async with aclosing(self._gap(entry) if isinstance(entry, LogGap) else self._entry(entry)) as events:
                    async for event in events:
                        if self._positions.advance(event) and self._wanted(event):
                            yield event
                self._begun = True

    async def _entry(self, message: Message) -> AsyncGenerator[Event, None]:
        """The event, behind those of its job that the log does not have."""
        event = read_event(message)
        if event is None or event.sequence is None or event.subject is None:
            return
        self._newest = max(self._newest, event.time or _LONG_AGO)
        last = self._positions.last(event)
        if event.replayid is None and event.sequence > (last or 0) + 1:
            if self._history is not None:
                async with aclosing(
                    self._asked(partial(self._history.of_job, event.subject, after=last or 0))
                ) as earlier:
                    async for each in earlier:
                        yield each
            elif last is not None:  # else those before are likely to have been before `since`
                _logger.warning("%s: events %d to %d are not in the log", event.subject, last + 1, event.sequence - 1)
        yield event

    async def _gap(self, gap: LogGap) -> AsyncGenerator[Event, None]:
        """What has happened since what was read last, as the history has it."""
        if self._history is not None:
            from_when = max(self._since, self._newest - _LATE)
            async with aclosing(self._asked(partial(self._history.since, from_when))) as earlier:
                async for event in earlier:
                    yield event
        elif gap.certain:
            raise LogTruncated(
                f"The log no longer reaches back to {self._newest.isoformat()}. Give the client a history "
                "(batchbus_events.history), which knows what happened before."
            )

    async def _asked(self, ask: Callable[[], AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
        """What the history answers; asked again while it cannot be, but for the first time."""
        backoff = Backoff()
        while True:
            try:
                async with aclosing(ask()) as events:
                    async for event in events:
                        yield event
                return
            except HistoryUnavailable as error:
                if not self._begun:
                    raise
                _logger.warning("%s; it is asked again", error)
            await backoff.wait()

    def _wanted(self, event: Event) -> bool:
        time = event.replayedat if event.replayid else event.time
        return (time is None or time >= self._since) and topics.matches(self._pattern, key_of(event))

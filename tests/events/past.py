"""A history of jobs for tests, without a database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

from batchbus_events.event import Event
from batchbus_events.history import HistoryUnavailable

__all__ = ["Past"]


class Past:
    """A `History` that a test writes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.asked = 0
        self.failures = 0
        """How many of the next questions fail in the middle of the answer."""

    async def since(self, time: datetime) -> AsyncGenerator[Event, None]:
        # Job by job, as a database may have them.
        found = [event for event in self.events if event.time and event.time >= time]
        async for event in self._told(sorted(found, key=lambda event: (event.subject or "", event.sequence or 0))):
            yield event

    async def of_job(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        found = [event for event in self.events if event.subject == job_id and (event.sequence or 0) > after]
        async for event in self._told(found):
            yield event

    async def _told(self, events: list[Event]) -> AsyncGenerator[Event, None]:
        self.asked += 1
        fails = self.failures > 0
        self.failures -= fails
        for event in events[: len(events) // 2] if fails else events:
            yield event
        if fails:
            raise HistoryUnavailable("the service restarts")

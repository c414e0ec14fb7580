"""The past for clients: every event that the jobs' histories have, job by job, as `batchbus_events.history` asks for it.

The broker's log is kept for a while, the histories as long as the jobs. The HTTP API tells clients of other processes;
a client in this process, on the memory bus for one, is given `JobHistories` itself.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Iterator
from datetime import datetime
from typing import Final

from anyio import to_thread

from batchbus_events.event import Event
from batchbus_events.history import HistoryUnavailable
from batchbus_events.ids import JOB_ID
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.ports import HistoryReader
from batchbus_service.domain.selection import Selection
from batchbus_service.operations.replay.event_history import history_events

__all__ = ["JobHistories"]

_AT_A_TIME: Final = 500
"""Events that are read in one go, in a thread."""


class JobHistories:
    """A `History` that reads what is stored of the jobs. Any number of readers may share one."""

    def __init__(self, histories: HistoryReader) -> None:
        self._histories = histories

    async def since(self, time: datetime) -> AsyncGenerator[Event, None]:
        async for event in self._note_of(Selection(since=time)):
            yield event

    async def of_job(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        if JOB_ID.fullmatch(job_id):
            async for event in self._note_of(Selection(job_ids=(job_id,)), after=after):
                yield event

    async def _note_of(self, selection: Selection, *, after: int = 0) -> AsyncGenerator[Event, None]:
        try:
            async for events in self.batches(selection, after=after):
                for event in events:
                    yield event
        except StoreUnavailable as error:
            raise HistoryUnavailable(str(error)) from error

    async def batches(self, selection: Selection, *, after: int = 0) -> AsyncGenerator[list[Event], None]:
        """The events selected that have a `sequence` above `after`, some hundred at a time. Raises `StoreUnavailable`."""
        found = (event for event in history_events(self._histories, selection) if (event.sequence or 0) > after)
        while True:
            events = await to_thread.run_sync(_next, found)
            if not events:
                return
            yield events


def _next(events: Iterator[Event]) -> list[Event]:
    return list(itertools.islice(events, _AT_A_TIME))

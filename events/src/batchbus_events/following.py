"""Following one job: every event of it in order, from the past into the present; and how it can come out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Delivery
from batchbus_events.catalog import TERMINAL
from batchbus_events.event import Event
from batchbus_events.ids import new_ulid
from batchbus_events.reading import read_event
from batchbus_events.topics import Binding, Queue

__all__ = ["HistoryOf", "JobCanceled", "JobEnded", "JobFailed", "TriggerRejected", "following", "own_queue"]

_PREFETCH: Final = 100
_LONGEST_BACKLOG: Final = 100_000
"""Events that wait for a slow subscriber; the oldest go first, which shows as a gap in `sequence`."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_REJECTED: Final = "batch.rejected"

HistoryOf = Callable[..., Awaitable[list[Event]]]
"""Called with a job's id, and `after`: the job's lifecycle events with a greater `sequence`, in order."""


class JobEnded(Exception):
    """The job has ended, and not well. `event` is the one that ended it."""

    def __init__(self, event: Event, message: str) -> None:
        super().__init__(message)
        self.event = event
        """The one that ended the job."""


class JobFailed(JobEnded):
    """The job has failed. The message is what made it fail."""

    def __init__(self, event: Event) -> None:
        super().__init__(event, str(event.data.get("error", "no reason was given")))


class JobCanceled(JobEnded):
    """The job was canceled. The message is the reason, if one was given."""

    def __init__(self, event: Event) -> None:
        super().__init__(event, str(event.data.get("reason") or "it was canceled"))


class TriggerRejected(Exception):
    """A trigger was not carried out. `reason` is that of `batch.rejected`, and the message says it in words."""

    def __init__(self, event: Event) -> None:
        super().__init__(str(event.data.get("message", "")))
        self.event = event
        """The `batch.rejected`."""
        self.reason = str(event.data.get("reason", ""))
        """Why, as one of `catalog.RejectionReason`."""


@asynccontextmanager
async def following(bus: Bus, job_id: str, history: HistoryOf) -> AsyncIterator[AsyncGenerator[Event, None]]:
    """Every event of one job, from its first to the one that ends it, in order, none twice.

    What was published after the context was entered is not missed.
    """
    arrived: asyncio.Queue[Event | None] = asyncio.Queue()

    async def take(delivery: Delivery) -> None:
        event = read_event(delivery.message)
        if event is not None and event.subject == job_id:
            arrived.put_nowait(event)
        await delivery.ack()

    def look_back() -> None:
        arrived.put_nowait(None)

    # A rejection may name no batch type, and so no job, in its routing key.
    live = own_queue(bus.user, f"batch.*.*.{job_id}", _REJECTED)
    consumer = await bus.consume(live, take, prefetch=_PREFETCH, on_rebuilt=look_back)
    try:
        look_back()
        async with aclosing(_in_order(job_id, arrived, history)) as events:
            yield events
    finally:
        await consumer.close()


async def _in_order(
    job_id: str, arrived: asyncio.Queue[Event | None], history: HistoryOf
) -> AsyncGenerator[Event, None]:
    """`arrived` has None where the past has to be looked at."""
    seen, seen_at, ended = 0, _LONG_AGO, False
    while not ended:
        event = await arrived.get()
        news = [] if event is None else [event]
        if event is None or (event.sequence or 0) > seen + 1:
            news = [*await history(job_id, after=seen), *news]
        for each in news:
            at = each.time or _LONG_AGO
            if each.sequence is None and at >= seen_at:
                yield each
            elif each.sequence is not None and each.sequence > seen:
                yield each
                seen, seen_at, ended = each.sequence, at, each.type in TERMINAL


def own_queue(user: str | None, *patterns: str) -> Queue:
    """A queue of events that match one of the patterns, which ends with its client."""
    return Queue(
        name=topics.client_queue(user, f"client.{new_ulid()}"),
        bindings=tuple(Binding(topics.EVENTS, pattern) for pattern in patterns),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": _LONGEST_BACKLOG},
    )

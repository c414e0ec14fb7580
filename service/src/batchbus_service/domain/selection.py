"""Which events are published again, and where to: read from a request, and turned into a query and a test."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from batchbus_events import topics
from batchbus_events.ids import JOB_ID
from batchbus_service.domain.instants import AwareInstant
from batchbus_service.domain.job import HistoryEntry, Status

__all__ = ["Destination", "Selection"]

_MAX_IDS: Final = 1000
_QUEUE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


def _event_type(name: str) -> str:
    if name.removeprefix("batch.") not in topics.LIFECYCLE or not name.startswith("batch."):
        known = ", ".join(f"batch.{word}" for word in topics.LIFECYCLE)
        raise ValueError(f"{name[:100]} is no lifecycle event; they are {known}")
    return name


def _batch_type(name: str) -> str:
    if not topics.BATCH_TYPE.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is no batch type: lower-case letters, digits and hyphens")
    return name


def _job_id(text: str) -> str:
    if not JOB_ID.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is no job id: batch_ and 26 characters")
    return text


class Selection(BaseModel):
    """Every condition that is given has to hold; of a list, one of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: AwareInstant | None = None
    """From this time of the event on."""
    until: AwareInstant | None = None
    """Up to and without this time. A replay sets it to the time it was planned if none, or a later one, is given."""
    types: tuple[Annotated[str, AfterValidator(_event_type)], ...] = Field(default=(), max_length=len(topics.LIFECYCLE))
    """Wire names of lifecycle events, such as `batch.completed`."""
    batch_types: tuple[Annotated[str, AfterValidator(_batch_type)], ...] = Field(default=(), max_length=100)
    job_ids: tuple[Annotated[str, AfterValidator(_job_id)], ...] = Field(default=(), max_length=_MAX_IDS)
    statuses: tuple[Status, ...] = Field(default=(), max_length=len(Status))
    """Of the job, as it is when the replay reads it."""
    created_by: tuple[Annotated[str, Field(max_length=255)], ...] = Field(default=(), max_length=100)

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since has to be before until")
        return self

    def up_to(self, now: datetime) -> Selection:
        """The same, closed at `now`: what happens later is not part of the past that was planned."""
        until = min(self.until, now) if self.until else now
        return self.model_copy(update={"until": until.astimezone(UTC)})

    def takes(self, entry: HistoryEntry) -> bool:
        """Whether an event of such a job is one of them."""
        return (
            (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time < self.until)
            and (not self.types or entry.type in self.types)
        )


class Destination(BaseModel):
    """One subscriber's queue, or the exchange that everyone subscribes to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: str | None = None
    exchange: Literal["batch.events"] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.queue is None) == (self.exchange is None):
            raise ValueError("has to name a queue, or the exchange batch.events")
        if self.queue is not None and not _QUEUE.fullmatch(self.queue):
            raise ValueError("queue has to be the name of a queue, of at most 255 characters")
        if self.queue is not None and self.queue.startswith(("batchbus.", "amq.")):
            raise ValueError(f"{self.queue} is not a subscriber's: a replayed event never starts a job")
        return self

    def __str__(self) -> str:
        return f"the queue {self.queue}" if self.queue else f"the exchange {self.exchange}"

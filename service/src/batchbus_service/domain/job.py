"""The job document: everything batchbus knows about one job, its history and its lease included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from batchbus_events import catalog
from batchbus_service.domain.bus_rules import counted_for, owner_of
from batchbus_service.domain.result import JobResult
from batchbus_strategies import Json, Phase

__all__ = [
    "MAX_TEXT",
    "SCHEMA",
    "TERMINAL",
    "Checkpoint",
    "HistoryEntry",
    "Job",
    "Lease",
    "Status",
    "Writer",
    "evolve",
    "got_on",
    "plain",
    "work_queue",
]

SCHEMA: Final = 1
"""Version of the document's form. A document of a newer one is left alone."""


MAX_TEXT: Final = 1000
"""The most characters of an error or a message that a job keeps and its events tell."""


class Status(StrEnum):
    """Where a job is. `moves.MOVES` says which moves are allowed, and why."""

    CREATED = "created"
    """Accepted and persisted. A worker moves it on by pre-processing it."""
    PRE_PROCESSED = "pre_processed"
    """It is known what the job will do. A dry run rests here until someone confirms or cancels it."""
    CONFIRMED = "confirmed"
    """May be carried out; waits for a worker with a free slot."""
    PROCESSING = "processing"
    """A worker carries it out, or did and was lost; then it waits for the next one."""
    COMPLETED = "completed"
    """Everything was done. The end."""
    FAILED = "failed"
    """It could not be done; `result.errors` says why. An operator may retry it."""
    CANCELED = "canceled"
    """Someone called it off, or a dry run was not confirmed in time. An operator may retry it."""


TERMINAL: Final = frozenset(Status(event.removeprefix("batch.")) for event in catalog.TERMINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One lifecycle event of the job, written in the same write as the change that it tells of."""

    seq: int
    """1, 2, 3 … without a gap: the event's `sequence`."""
    id: str
    """The event's id, chosen before the write, so that publishing it again repeats the same event."""
    type: str
    """The event's wire name, such as `batch.completed`."""
    time: datetime
    data: Mapping[str, Json]
    causationid: str | None = None
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace id in its W3C `traceparent`."""
        parts = (self.traceparent or "").split("-")
        return parts[1] if len(parts) == 4 else None


@dataclass(frozen=True, slots=True)
class Writer:
    """The process that wrote the last entries of a history."""

    process: str
    up_to: int
    """The `seq` of the last of them. Versions before this one add entries and leave it as it is."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to run the job, until it expires."""

    worker: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a phase resumes after a crash, as the strategy gave it to `JobRun.checkpoint`."""

    phase: Phase
    state: Json
    advanced: int = 0
    """`advancement_count` at that point: what a run that resumes here counts on from."""
    errors: int = 0
    """`result.error_count` at that point: what a run that resumes here counts on from."""
    error_parts: int = 0
    """Files of row errors up to that point, over all runs."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as stored. Times are UTC with milliseconds; dicts and lists in it are never changed in place.

    Without slots, so that `evolve` can copy it in one go.
    """

    id: str
    type: str
    dry_run: bool
    context: dict[str, Json]
    created_by: str
    request_digest: str
    """A digest of the request as it arrived: tells a repeated request from another one under the same id."""
    prepared: bool = False
    """Whether the strategy's `prepare` has been run, as it has for jobs made over HTTP."""
    principal: str | None = None
    """Who asked for it on the bus, see `bus_rules`; None for jobs of users, and where everyone on the bus is believed."""

    status: Status
    created_at: datetime
    updated_at: datetime
    status_at: Mapping[Status, datetime] = field(default_factory=dict)
    """When the job reached each status it has reached; `created` is in `created_at`."""
    deleted_at: datetime | None = None
    result: JobResult | None = None

    version: int = 1
    """Raised by every transition; every transition filters on it."""
    fence: int = 0
    """The fencing token: raised by every claim, never lowered."""
    lease: Lease | None = None
    failures: int = 0
    """Runs that ended with an error since the last new checkpoint."""
    lost_runs: int = 0
    """Runs whose worker was lost, with the lease, since the last new checkpoint."""
    crashes: int = 0
    """Runs that ended the process of their own that they had, since the last new checkpoint. Each is a failure, too."""
    checkpoint: Checkpoint | None = None
    no_room_since: datetime | None = None
    """Since when it waits for room in the file store; None once a run has got on."""
    confirmed_early: str | None = None
    """Id of a confirmation that came before pre-processing had ended, to be honoured when it ends."""
    confirmed_early_digest: str | None = None
    """The digest of the plan that it is for, if it names one."""
    confirm_by: datetime | None = None
    """When a dry run is canceled, unless it has been confirmed."""

    worker_by: datetime | None = None
    """By when a worker should have taken it, of a job that no process served when it was made; None once that is said."""

    history: tuple[HistoryEntry, ...] = ()
    published: int = 0
    """The broker has confirmed every entry of the history up to this `seq`."""
    writer: Writer | None = None
    triggers: tuple[str, ...] = ()
    """Keys of the last 20 triggers handled, so that a late duplicate changes nothing."""

    ready_at: datetime | None = None
    """From when on a worker may take it; None while it runs or rests."""
    wake_at: datetime | None = None
    """When the rescuer has to look at it next; None when there is nothing to look after."""
    schema: int = SCHEMA

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def counted_for(self) -> str | None:
        """The owner among whose unfinished jobs it counts, see `bus_rules.counted_for`; None if there is none, or it has ended."""
        return None if self.terminal else counted_for(self.principal, self.created_by)

    @property
    def owner(self) -> str:
        """The owner in whose turn it is taken, and whose share of slots it takes: there is one where everyone is believed, too."""
        return owner_of(self.principal, self.created_by)

    @property
    def suspected(self) -> bool:
        """Whether the job may be what ended a process: its next run has one of its own, so that it harms no other."""
        return self.lost_runs > 0 or self.crashes > 0

    @property
    def bad_ends(self) -> int:
        """Runs that did not end well since the last new checkpoint, for any reason."""
        return self.failures + self.lost_runs

    @property
    def phase(self) -> Phase:
        """The phase that is running or comes next."""
        return "pre_process" if self.status is Status.CREATED else "process"

    @property
    def written_by(self) -> str | None:
        """The process that wrote the last entry of the history, whose part it is to publish it; None if not known."""
        return self.writer.process if self.writer and self.writer.up_to == len(self.history) else None

    @property
    def unpublished(self) -> tuple[HistoryEntry, ...]:
        return self.history[self.published :]


if TYPE_CHECKING:
    from dataclasses import replace as evolve
else:

    def evolve(job: Job, **changes: object) -> Job:
        """The job with other values of some fields, as `dataclasses.replace`, which runs through all fields each time.

        A job has 32 of them, and changes some 30 times in its life. Raises `TypeError` for a field that there is not.
        """
        evolved = object.__new__(Job)
        fields = vars(evolved)
        fields.update(vars(job))
        fields.update(changes)
        if len(fields) != len(vars(job)):
            raise TypeError(f"a job has no field {', '.join(changes.keys() - vars(job).keys())}")
        return evolved


def got_on(job: Job) -> Job:
    """The job as it is once a run has made a new checkpoint, or ended well: what went wrong before counts no more."""
    return evolve(job, failures=0, lost_runs=0, crashes=0)


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """Text of unknown origin, fit to be stored and sent: Unicode, and not long."""
    text = text[: limit + 1].encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def work_queue(phase: Phase, job_type: str) -> str:
    """Where a ready job waits: workers ask for one phase of one batch type at a time."""
    return f"{phase}/{job_type}"

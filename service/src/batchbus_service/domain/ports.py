"""Every port of the service on one page, with what each call may raise.

The message broker's port, `Bus`, and the files' port, `Files`, belong to the packages that others use too:
`batchbus_events.bus` and `batchbus_strategies.strategy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.job import Checkpoint, Job
from batchbus_strategies import Json, Phase

__all__ = [
    "Beat",
    "Clock",
    "JobExists",
    "JobStore",
    "NotStorable",
    "ProcessStore",
    "StoreError",
    "StoreUnavailable",
    "TooLarge",
    "UnreadableJob",
]


class StoreError(Exception):
    """Something went wrong between batchbus and its database."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, did not answer in time, or refuses. A write may or may not have happened."""


class JobExists(StoreError):
    """There is a job with that id already."""


class NotStorable(StoreError):
    """The job holds something that the database cannot keep; nothing was written. The message says what."""


class TooLarge(NotStorable):
    """The job document would be larger than the database takes; nothing was written."""


class UnreadableJob(StoreError, ValueError):
    """The job's document is not of a form that this version of batchbus knows. It is left alone."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"The document of batch job {job_id} cannot be read: {reason}")
        self.job_id = job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heartbeat: what a running worker writes without making a transition."""

    job_id: str
    fence: int
    expires_at: datetime
    """The lease's new end."""
    result: dict[str, Json] | None
    published: int
    checkpoint: Checkpoint | None = None
    """A new checkpoint, after which no bad end before it counts any more; None leaves the old one."""


class JobStore(Protocol):
    """The jobs. Every method may raise `StoreUnavailable`; writes are durable once they return."""

    async def insert(self, job: Job) -> None:
        """Raises: `JobExists`, also where a placeholder is; `NotStorable`."""

    async def get(self, job_id: str) -> Job | None:
        """A placeholder is no job. Raises `UnreadableJob`."""

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        """Write what differs between `old` and `new` if the stored version is still `old.version`.

        `same_lease`: and only if the lease still ends when `old`'s does. `by_owner`: the writer holds the lease,
        and knows better than `old` what its heartbeats have written. Returns whether it was written.
        Raises: `NotStorable`.
        """

    async def beat(self, beat: Beat) -> bool:
        """Returns False if the fence has moved or the lease was taken away: it is lost. Raises: `NotStorable`."""

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Write `published` of many jobs in one go, and `wake_at` too where the version has not moved since."""

    async def move_alarm(self, job: Job, wake_at: datetime | None) -> bool:
        """Compare-and-set of `wake_at`, from `job`'s. Returns whether this call moved it."""

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        """As `move_alarm`, for many jobs in one go: each to its own time."""

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        """Some of the jobs whose `ready_at` is at most `until`, the oldest first."""

    async def ringing(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        """Some of the jobs and placeholders whose `wake_at` is at most `until`, the earliest first."""

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        """Add the trigger to the job's placeholder, once; make one that wakes at `wake_at` if there is none, and no job."""

    async def placeholder(self, job_id: str) -> Placeholder | None:
        """None if there is none, or the job is there."""

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        """Compare-and-set. Returns it as it is now, or None if it has changed since it was read."""

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        """Put the job in its place, unless it has changed. Returns whether it was written. Raises: `NotStorable`."""

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        """Take it away, unless it has changed."""

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        """For how many jobs triggers of the sender wait, not counting beyond `up_to`.

        Only placeholders count that wake after `since` and not after `until`. The cost grows with what wakes between.
        """


class ProcessStore(Protocol):
    """The processes that are there. Every method may raise `StoreUnavailable`."""

    async def renew(self, name: str, until: datetime) -> None:
        """The process counts as alive until then."""

    async def present(self) -> Mapping[str, datetime]:
        """Until when each process counts as alive, by name; those long gone may be left out."""

    async def leave(self, name: str) -> None:
        """The process ends in good order."""


class Clock(Protocol):
    """Time as the database server has it, so that a machine with a wrong clock steals no lease."""

    def now(self) -> datetime:
        """UTC, aware, cut to milliseconds."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps: for deadlines within this process."""

    def settled(self) -> bool:
        """Whether, as far as is known, no clock was set a moment ago; until then times of other processes say little."""

    async def sure(self) -> bool:
        """Whether `now` may judge a deadline that another process has set; to be asked before anything is taken from it."""

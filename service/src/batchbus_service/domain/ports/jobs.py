"""The port of the jobs: what the engine reads and writes of them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.job import Checkpoint, Job
from batchbus_service.domain.result import JobResult
from batchbus_strategies import Phase

__all__ = [
    "WRITTEN_BY_HEARTBEATS",
    "Answer",
    "Insertion",
    "JobStore",
    "JobWrite",
    "Renewal",
    "Update",
    "write_one",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A heartbeat: what a running worker writes without making a transition."""

    job_id: str
    fence: int
    expires_at: datetime
    """The lease's new end."""
    result: JobResult | None
    published: int
    checkpoint: Checkpoint | None = None
    """A new checkpoint, after which no bad end before it counts any more; None leaves the old one."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """What `JobStore.insert` writes."""

    job: Job

    @property
    def job_id(self) -> str:
        return self.job.id


@dataclass(frozen=True, slots=True)
class Update:
    """What `JobStore.update` writes."""

    old: Job
    new: Job
    same_lease: bool = False
    by_owner: bool = False

    @property
    def job_id(self) -> str:
        return self.old.id


JobWrite: TypeAlias = Insertion | Update | Renewal
Answer: TypeAlias = bool | Exception
"""Of one write among several: what the method for it alone would have returned, or raised; True of an insertion."""


WRITTEN_BY_HEARTBEATS: Final = frozenset({"result", "checkpoint", "failures", "lost_runs", "crashes", "lease"})
"""Fields of a job that `JobStore.renew` may have written since the job was read."""


class JobStore(Protocol):
    """The jobs. Every method may raise `StoreUnavailable`; writes are durable once they return.

    Methods that return many leave out those that cannot be read, and name them in the log.
    """

    async def prepare(self) -> None:
        """Have the store find jobs by what the other methods ask for; of a million jobs, that takes its time."""

    async def insert(self, job: Job) -> None:
        """Add a job. Raises: `JobExists` if there is a job or a placeholder of that id; `NotStorable`."""

    async def get(self, job_id: str) -> Job | None:
        """The job with that id; None if there is none, or a placeholder only. Raises `UnreadableJob`."""

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        """Write what differs between `old` and `new` if the stored version is still `old.version`.

        `same_lease`: and only if the lease still ends when `old`'s does. `by_owner`: the writer holds the lease,
        and knows better than `old` what its heartbeats have written. Returns whether it was written.
        Raises: `NotStorable`.
        """

    async def renew(self, renewal: Renewal) -> bool:
        """Write a heartbeat, and move the end of the lease. Raises `NotStorable`.

        Returns False, and writes nothing, if the fence has moved or the lease was taken away: then the lease is lost.
        """

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Write `published` of many jobs in one go, and `wake_at` too where the version has not moved since."""

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        """Several writes, each of another job, in one go. Returns the answer to each, in their order.

        Each is a write of its own: one that is refused leaves the others alone.
        Raises `StoreUnavailable` if it is not known of any what became of it.
        """

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        """Write `wake_at` if the stored one is still that of `job`. Returns whether this call moved it."""

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        """Do for many jobs in one go what `move_wake_at` does for one, each to its own time."""

    async def any_waiting(self, queues: Set[str]) -> bool:
        """Whether a job waits in one of these work queues, now or for a later time. The cost grows with those that do."""

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        """Some of the jobs that wait for that phase and whose `ready_at` is at most `until`, the oldest first."""

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        """As `waiting`, but none that is `counted_for` one of the owners. The cost grows with all that wait."""

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        """Some of the jobs and placeholders whose `wake_at` is at most `until`, the earliest first."""

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        """Add the trigger to the job's placeholder, once; make one that wakes at `wake_at` if there is none, and no job.

        Returns what became of it. Raises: `NotStorable`, `UnreadableJob`.
        """

    async def placeholder(self, job_id: str) -> Placeholder | None:
        """The placeholder of that id; None if there is none, or the job is there. Raises `UnreadableJob`."""

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        """Change the placeholder if it is still as it was read. Returns it as it is now, or None if it has changed."""

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        """Put the job in the placeholder's place if that is still as it was read. Raises `NotStorable`.

        Returns whether the job was written.
        """

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        """Remove the placeholder if it is still as it was read."""

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        """Count for how many jobs triggers of the sender wait, but not beyond `up_to`.

        Only placeholders count that wake after `since` and not after `until`. The cost grows with what wakes between.
        """

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        """Count the jobs that have not ended and are `counted_for` the owner, but not beyond `up_to`."""


async def write_one(store: JobStore, write: JobWrite) -> bool:
    """Make a write by the store's method for it alone. Returns what that returns, and True for an insertion; raises what it raises."""
    match write:
        case Insertion(job):
            await store.insert(job)
            return True
        case Update():
            return await store.update(write.old, write.new, same_lease=write.same_lease, by_owner=write.by_owner)
        case Renewal():
            return await store.renew(write)

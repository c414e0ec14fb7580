"""Whether a write is in the database, judged by the job as it is stored: for writes whose answers are not known.

A transition is known by the events that it added, a claim by its fence and its worker, a heartbeat by its fence and the
lease's new end.
"""

from __future__ import annotations

from typing import Final

from batchbus_service.domain.errors import JobExists, StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports.jobs import Answer, Insertion, JobWrite, Renewal, Update

__all__ = ["answer_by", "carries"]

_TELLING: Final = ("status", "updated_at", "history", "fence", "triggers", "confirmed_early", "ready_at", "confirm_by")
"""What tells two writes of the same version apart that add nothing to the history; heartbeats leave it alone."""


def carries(stored: Job, old: Job | None, new: Job) -> bool:
    """Whether `stored` is what became of writing `new` over `old`, and not of what somebody else wrote over it."""
    added = new.history[len(old.history) if old else 0 :]
    if added or old is None:
        return {entry.id for entry in added} <= {entry.id for entry in stored.history}
    if stored.version == new.version:
        return all(getattr(stored, name) == getattr(new, name) for name in _TELLING) and _holder(stored) == _holder(new)
    # Others have written since. What is left of a claim is its lease, of a trigger its key; else it is decided anew.
    if new.fence > old.fence:
        return stored.fence == new.fence and _holder(stored) == _holder(new)
    keys = set(new.triggers) - set(old.triggers)
    return bool(keys) and keys <= set(stored.triggers)


def answer_by(stored: Job | None, write: JobWrite) -> Answer:
    """The answer to the write, by the job as it is stored now; None if there is none.

    `StoreUnavailable` where it may be tried again and nothing tells whether it could not be written, or got lost.
    """
    unknown = StoreUnavailable("The database did not answer, and the write is not there")
    match write:
        case Insertion():
            if stored is None:
                return unknown  # a placeholder may have its id, which the next try finds out
            return True if stored.history[0].id == write.job.history[0].id else JobExists(write.job.id)
        case Update():
            return stored is not None and stored.version >= write.new.version and carries(stored, write.old, write.new)
        case Renewal():
            if stored is None or stored.lease is None or stored.fence != write.fence:
                return False
            return True if stored.lease.expires_at == write.expires_at else unknown


def _holder(job: Job) -> str | None:
    return job.lease.worker if job.lease else None

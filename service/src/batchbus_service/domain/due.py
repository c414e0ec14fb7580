"""When a job has to be looked at again, whatever becomes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from batchbus_service.domain.instants import to_ms
from batchbus_service.domain.job import Job
from batchbus_service.domain.policy import Policy

__all__ = ["UNSERVED", "due_at", "waits_in_vain"]

UNSERVED: Final = "unserved"
"""The key in the data of `batch.updated` that says that no process serves the job's type."""


def due_at(job: Job, now: datetime, policy: Policy) -> datetime | None:
    """When the rescuer has to look at the job next: the one place that knows what can be overdue."""
    due: list[datetime] = []
    if job.published < len(job.history):
        written = job.history[job.published].time
        due.append(max(written, now - policy.publish_grace / 2) + policy.publish_grace)
    if job.lease:
        due.append(job.lease.expires_at)
    if job.confirm_by:
        due.append(job.confirm_by)
    if job.worker_by and job.ready_at:
        due.append(job.worker_by)
    return to_ms(min(due)) if due else None


def waits_in_vain(job: Job, now: datetime) -> bool:
    """Whether a worker should have taken the job by now, and none has."""
    return job.worker_by is not None and job.worker_by <= now and job.ready_at is not None

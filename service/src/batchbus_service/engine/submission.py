"""Submitting a job, for intake and the HTTP API alike: one write, which also claims it if there is a slot for it here."""

from __future__ import annotations

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_service.engine.dispatcher import Dispatcher
from batchbus_service.journal.transitions import Transitions

__all__ = ["submit"]


async def submit(transitions: Transitions, worker: Dispatcher | None, request: NewJob, cause: Cause) -> Job:
    """Persist the job and, if `worker` has a free slot for it, run it at once. Otherwise it waits for any worker.

    The same request under the same id changes nothing. Raises what `Transitions.create` does.
    """
    permit = await worker.permit_for(request.type) if worker else None
    try:
        job, new = await transitions.create(request, cause, claim_for=worker.id if worker and permit else None)
        if new and worker and permit and job.lease:
            worker.take(job, permit)
            permit = None
        elif new and worker:
            worker.offer(job)
        return job
    finally:
        if permit:
            permit.release()

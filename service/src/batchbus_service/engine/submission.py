"""Submitting a job, for intake and the HTTP API alike: one write, which also claims it if there is a slot for it here."""

from __future__ import annotations

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_service.engine.dispatcher import Worker
from batchbus_service.journal.transitions import Ledger

__all__ = ["submit"]


async def submit(ledger: Ledger, worker: Worker | None, request: NewJob, cause: Cause) -> Job:
    """Persist the job and, if `worker` has a free slot for it, run it at once. Otherwise it waits for any worker.

    The same request under the same id changes nothing. Raises what `Ledger.create` does.
    """
    seat = await worker.seat_for(request.type) if worker else None
    try:
        job, new = await ledger.create(request, cause, claim_for=worker.id if worker and seat else None)
        if new and worker and seat and job.lease:
            worker.take(job, seat)
            seat = None
        elif new and worker:
            worker.offer(job)
        return job
    finally:
        if seat:
            seat.leave()

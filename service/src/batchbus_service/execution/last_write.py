"""The write that ends a phase: the outcome together with the result and the checkpoint that the run has reached."""

from __future__ import annotations

import asyncio
from datetime import datetime

from pydantic_core import to_json

from batchbus_service.domain.errors import NotStorable, StoreUnavailable
from batchbus_service.domain.job import Job, evolve, got_on
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.result import JobResult
from batchbus_service.execution.execution import RunControl
from batchbus_service.execution.heartbeat import TRY_AGAIN, Heartbeat
from batchbus_service.execution.job_run import MAX_RESULT_BYTES
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.outcome import Outcome, Refused, applied
from batchbus_service.journal.transitions import Transitions, Unsure
from batchbus_strategies import LeaseLost
from batchbus_strategies.json_values import NotJson

__all__ = ["CanceledMeanwhile", "write_outcome"]


class CanceledMeanwhile(Exception):
    """The job was canceled while its run came to an end by itself."""


async def write_outcome(
    ours: Job,
    outcome: Outcome,
    heartbeat: Heartbeat,
    lease: Lease,
    transitions: Transitions,
    cause: Cause,
    *,
    cleaned_up: bool,
) -> Job:
    """To be called when the heartbeat has stopped, so that nothing writes the job beside it. Returns the job as written.

    `ours`: the job as this phase began with it. `cleaned_up`: the strategy knows that the job was canceled, and has
    cleaned up. A result that the job cannot keep makes the job fail.
    Raises: `CanceledMeanwhile`, unless `cleaned_up`; `LeaseLost`; `StoreUnavailable`, when the lease has ended too.
    """
    run, decider = heartbeat.job_run, transitions.decider
    result, unkept = _kept(run)

    def decide(job: Job, now: datetime) -> Job:
        if job.fence != ours.fence or job.lease is None:
            raise LeaseLost(f"Job {job.id} was given to another worker")
        if job.terminal and not cleaned_up:
            raise CanceledMeanwhile
        since = job.no_room_since if heartbeat.checkpoint == ours.checkpoint else None
        job = got_on(job) if heartbeat.got_on else job
        job = evolve(job, result=result, checkpoint=heartbeat.checkpoint, no_room_since=since)
        if job.terminal:
            return decider.stopped(job, now, cause)
        ends = Refused(f"The run's result was dropped. {unkept}") if unkept else outcome
        return applied(ends, job, now, decider, cause)

    unsure: list[Unsure] = []
    while True:
        lease_would_end = lease.if_renewed()
        try:
            written = await transitions.change(ours, decide, by_owner=True, unsure=unsure)
            if written.lease:
                lease.renew(lease_would_end)
            return written
        except NotStorable as error:
            if unkept:
                raise
            result, unkept = run.least_result(), str(error)
        except StoreUnavailable:
            if lease.expired:
                raise
            await asyncio.sleep(TRY_AGAIN)


def _kept(run: RunControl) -> tuple[JobResult | None, str | None]:
    """The run's result as the job keeps it; and if it cannot keep what the strategy made, why."""
    try:
        result = run.snapshot()
        size = len(to_json(result.to_json())) if result else 0
    except NotJson as error:
        return run.least_result(), str(error)
    if size > MAX_RESULT_BYTES:
        return run.least_result(), f"It has {size:,} bytes; a job may keep {MAX_RESULT_BYTES:,}"
    return result, None

"""Taking a job up again: a retry goes on where it ended, a check begins anew and makes another plan. Pure, as `lifecycle` is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import MAX_TEXT, Job, Status
from batchbus_service.domain.moves import reached
from batchbus_service.domain.plans import REFUSED, plan_digest
from batchbus_strategies import Json

__all__ = ["checked_again", "may_be_checked_again", "retried"]

_ENDED: Final = (Status.FAILED, Status.CANCELED)
_CHECKED: Final = (Status.PRE_PROCESSED, *_ENDED)
_MAX_FILES: Final = 20


def retried(job: Job, now: datetime) -> Job:
    """A failed or canceled job, to go on from its last checkpoint. Raises `NotAllowed`."""
    if job.status not in _ENDED:
        raise NotAllowed(f"Cannot retry a batch job that is {job.status}: only a failed or canceled one")
    if job.lease:
        raise NotAllowed("Cannot retry a batch job while its last run is still stopping; try again in a moment")
    target = Status.CONFIRMED if Status.CONFIRMED in job.status_at else Status.CREATED
    kept = (Status.PRE_PROCESSED,) if target is Status.CONFIRMED else ()
    times = {status: job.status_at[status] for status in kept}
    # A job that was suspected stays so: nothing has shown yet that it does no harm.
    return replace(reached(job, target, now, times), ready_at=now, failures=0, crashes=0, lost_runs=int(job.suspected))


def may_be_checked_again(job: Job) -> bool:
    """Whether nothing of it was ever carried out, and a plan was made or could not be made."""
    return job.status in _CHECKED and Status.CONFIRMED not in job.status_at


def checked_again(job: Job, now: datetime, context: Mapping[str, Json] | None) -> tuple[Job, dict[str, Json]]:
    """The job as if it had just been created, and what its event says of that. Raises `NotAllowed`.

    `context`: a prepared one, with another file; None for the one that the job has. What was found out is dropped, also
    an early confirmation: it was not for this plan. The files of earlier plans stay, and the event names them.
    """
    if job.status not in _CHECKED:
        raise NotAllowed(
            f"Cannot check a batch job again that is {job.status}: only one that is pre_processed, or that failed or was "
            "canceled before it was confirmed"
        )
    if not may_be_checked_again(job):
        raise NotAllowed(
            "Cannot check a batch job again that was confirmed, since some of its plan may have been carried out. Retry it, "
            "or create another job"
        )
    if job.lease:
        raise NotAllowed("Cannot check a batch job again while its last run is still stopping; try again in a moment")
    again = replace(
        reached(job, Status.CREATED, now, {}),
        context=job.context if context is None else dict(context),
        prepared=job.prepared or context is not None,
        result=None,
        ready_at=now,
        confirm_by=None,
        confirmed_early=None,
        confirmed_early_digest=None,
        checkpoint=None,
        failures=0,
        crashes=0,
        lost_runs=int(job.suspected),
    )
    other_file = context is not None and context != job.context
    details: dict[str, Json] = {"reason": "checked again with another file" if other_file else "checked again"}
    if digest := plan_digest(job):
        details["earlier_plan_digest"] = digest
    if files := _files(job):
        details["earlier_files"] = files
    if job.confirmed_early:
        message = "Cannot confirm the batch job: it was checked again before there was a plan. Confirm the new one"
        details[REFUSED] = {"causationid": job.confirmed_early, "message": message}
    return again, details


def _files(job: Job) -> dict[str, Json]:
    """Where the files are that its pre-processing has left, if it says so in the usual place."""
    files = job.result.value("files") if job.result else None
    if not isinstance(files, dict) or len(files) > _MAX_FILES:
        return {}
    return {name: key for name, key in files.items() if isinstance(key, str) and len(key) <= MAX_TEXT}

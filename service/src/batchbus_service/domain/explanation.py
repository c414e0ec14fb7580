"""Why a job is where it is, for an operator to read, and what to do about it. Pure, as `lifecycle` is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from batchbus_service.domain.again import may_be_checked_again
from batchbus_service.domain.job import HistoryEntry, Job, Lease, Status
from batchbus_service.domain.lifecycle import Policy
from batchbus_service.domain.plurals import counted

__all__ = ["Explanation", "Served", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a job stands."""

    why: str
    hint: str | None
    """What someone can do about it; None if nothing is left to be done."""


class Served(Enum):
    """What the process that is asked knows of the job's type."""

    HERE = auto()
    """It runs jobs of this type itself."""
    ELSEWHERE = auto()
    """It has a strategy for the type, and runs none of its jobs."""
    UNKNOWN = auto()
    """It has no strategy for the type."""


def explain(
    job: Job, now: datetime, policy: Policy, served: Served, *, file_fields: Collection[str] = ()
) -> Explanation:
    """What an operator is told about a job in any situation. `file_fields`: see `BatchStrategy`."""
    if job.terminal:
        return _ended(job, policy, reads_a_file=any(isinstance(job.context.get(name), str) for name in file_fields))
    if job.lease:
        return _running(job, job.lease, now)
    if job.confirm_by:
        return Explanation(
            f"It is a dry run and waits for a confirmation until {_at(job.confirm_by)}.",
            f"`batchbus confirm {job.id}` lets it go on, `batchbus cancel {job.id}` calls it off; "
            f"if nobody does either, it is canceled then. `batchbus check-again {job.id}` makes the plan anew.",
        )
    if job.ready_at and job.ready_at > now:
        return Explanation(
            f"Its last run failed: {_said(job, 'batch.updated', 'error') or 'nobody knows why'}. "
            f"It is tried again at {_at(job.ready_at)}{_of_its_own(job)}; of {counted(policy.max_attempts, 'run')} that may fail in "
            f"a row, {job.failures} have.",
            f"It goes on by itself. `batchbus cancel {job.id}` stops it.",
        )
    return _waiting(job, served)


def _ended(job: Job, policy: Policy, *, reads_a_file: bool) -> Explanation:
    match job.status:
        case Status.COMPLETED:
            return Explanation(f"It was completed{_when(job)}; nothing more will happen.", None)
        case Status.FAILED:
            why = f"It failed{_when(job)}: {_said(job, 'batch.failed', 'error') or 'nobody knows why'}."
            if job.crashes >= policy.max_crashes:
                why += f" {counted(job.crashes, 'run')} in a row ended the process that each had for itself, so it is the job's fault."
            elif job.failures >= policy.max_attempts:
                why += f" {counted(job.failures, 'run')} in a row failed, which is the most that may."
            elif job.lost_runs >= policy.max_lost_runs:
                why += f" {counted(job.lost_runs, 'run')} in a row ended with their workers, which is the most that may be."
            else:
                why += " Another run would end the same way, so it is not tried again by itself."
            hint = f"Mend what the error names; then `batchbus retry {job.id}`: {_resumed(job)}."
            if reads_a_file:
                other = (
                    f"`batchbus check-again {job.id} --file FILE` takes another one"
                    if may_be_checked_again(job)
                    else f"for another one, `batchbus submit {job.type} --file FILE` makes another job"
                )
                hint += f" It reads the same file again; {other}."
            return Explanation(why, hint)
        case _:
            return _canceled(job)


def _canceled(job: Job) -> Explanation:
    entry = _last(job, "batch.canceled")
    by, reason = _said(job, "batch.canceled", "by"), _said(job, "batch.canceled", "reason")
    why = "It was canceled" + (f" by {by}" if by else "") + _when(job)
    if entry and entry.seq > 1:
        why += f", when it was {job.history[entry.seq - 2].data.get('status')}"
    why += f": {reason}." if reason else "."
    if job.lease:
        return Explanation(
            f"{why} Worker {job.lease.worker} is still stopping its run.",
            f"Once that has stopped, `batchbus retry {job.id}` takes it up again; the worker's lease ends at "
            f"{_at(job.lease.expires_at)} unless it is renewed.",
        )
    return Explanation(why, f"`batchbus retry {job.id}`: {_resumed(job)}.")


def _running(job: Job, lease: Lease, now: datetime) -> Explanation:
    if lease.expires_at <= now:
        return Explanation(
            f"Worker {lease.worker} had it, and has not renewed its lease, which ended at {_at(lease.expires_at)}.",
            "It is given to another worker in a moment, if any process of batchbus is running.",
        )
    what = "pre-processes" if job.phase == "pre_process" else "processes"
    why = f"Worker {lease.worker} {what} it; its lease ends at {_at(lease.expires_at)} unless it is renewed."
    if job.bad_ends:
        why += f" Runs that failed or were lost before, in a row: {job.bad_ends}."
    follow = f"`batchbus watch {job.id}` follows it, `batchbus cancel {job.id}` stops it."
    return Explanation(why + _confirmed_early(job), follow)


def _of_its_own(job: Job) -> str:
    """Where the next run of a job goes that may have ended a process."""
    return ", in a process of its own" if job.suspected else ""


def _waiting(job: Job, served: Served) -> Explanation:
    if job.no_room_since:
        return Explanation(
            f"The file store has had no room for it since {_at(job.no_room_since)}. It waits without a slot, and tries "
            f"again at {_at(job.ready_at)}."
            if job.ready_at
            else "The file store has no room for it.",
            f"Make room where BATCHBUS_FILES_URL points to, within an hour; then it goes on by itself. "
            f"`batchbus cancel {job.id}` calls it off.",
        )
    since = f", since {_at(job.ready_at)}," if job.ready_at else ""
    why = f"It waits{since} for a worker that serves the type {job.type}"
    slots = "BATCHBUS_WORKER_PREVIEW_SLOTS" if job.phase == "pre_process" else "BATCHBUS_WORKER_SLOTS"
    cancel = f"`batchbus cancel {job.id}` calls it off."
    match served:
        case Served.HERE:
            why += " and has a free slot; this process does, and takes the oldest first."
            hint = f"It goes on by itself, and sooner with another `batchbus worker` or more {slots}. {cancel}"
        case Served.ELSEWHERE:
            why += " and has a free slot; this process runs no jobs of that type itself."
            hint = (
                f"See that a `batchbus worker` runs whose BATCHBUS_WORKER_TYPES has {job.type} or is not set, and that "
                f"its {slots} are enough. {cancel}"
            )
        case _:
            why += ", and this process has no strategy for it."
            hint = (
                "Start a worker that has one: from a package, or in the folder BATCHBUS_STRATEGIES_DIR; `batchbus types` "
                f"says which there are. {cancel}"
            )
    if job.lost_runs:
        why += " Its last run was lost with its worker, so the next has a process of its own."
    return Explanation(why + _confirmed_early(job), hint)


def _confirmed_early(job: Job) -> str:
    return " It is confirmed already, and goes on when it is pre-processed." if job.confirmed_early else ""


def _resumed(job: Job) -> str:
    """Where a retry begins."""
    if Status.CONFIRMED not in job.status_at:
        return "it is pre-processed again"
    resumes = job.checkpoint is not None and job.checkpoint.phase == "process" and job.checkpoint.state is not None
    return "it goes on from its last checkpoint" if resumes else "it is processed from the beginning"


def _when(job: Job) -> str:
    time = job.status_at.get(job.status)
    return f" at {_at(time)}" if time else ""


def _last(job: Job, event: str) -> HistoryEntry | None:
    return next((entry for entry in reversed(job.history) if entry.type == event), None)


def _said(job: Job, event: str, key: str) -> str | None:
    """What the last such event says under that key."""
    entry = _last(job, event)
    value = entry.data.get(key) if entry else None
    return str(value).rstrip(".") if value is not None else None


def _at(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

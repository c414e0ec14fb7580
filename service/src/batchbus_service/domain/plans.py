"""Which plan a confirmation is for.

A strategy may give its plan a digest: `result.plan_digest`, the same only for the same plan and the same file. Whoever
confirms a job may name the plan that they have seen by it, so that no other is carried out. Which plans a job has had,
when, why, and with which counts, stands in its history: each `batch.pre_processed` has the digest of its plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from batchbus_service.domain.job import HistoryEntry, Job, Status
from batchbus_strategies import Json

__all__ = ["REFUSED", "plan_digest", "why_refused"]

REFUSED: Final = "refused_confirmation"
"""Under this name an entry of the history says that an early confirmation is not honoured: `{causationid, message}`."""
_REMADE: Final = ("batch.created", "batch.updated")


def plan_digest(job: Job) -> str | None:
    """The digest of the job's plan; None if there is no plan, or its strategy gives it no digest."""
    digest = job.result.value("plan_digest") if job.result else None
    return digest if isinstance(digest, str) else None


def why_refused(job: Job, asked: str | None, *, required: bool) -> str | None:
    """Why a job with a plan cannot be confirmed with the digest `asked`, in sentences for people; None if it can.

    `required`: a confirmation without a digest is refused if the plan has one.
    """
    current = plan_digest(job)
    if asked == current:
        return None
    if asked is None:
        if not required:
            return None
        return (
            "Cannot confirm the batch job without the digest of its plan, which this service asks for: send the "
            f"plan_digest of the plan that you have seen. That of the job's plan is {current}"
        )
    if current is None:
        return (
            f"Cannot confirm the plan {asked}: the job's plan has no digest, so it cannot be told whether it is the same. "
            "Leave plan_digest out once you have seen the plan"
        )
    return _other_plan(job, asked, current)


def _other_plan(job: Job, asked: str, current: str) -> str:
    made_at = job.status_at.get(Status.PRE_PROCESSED)
    of_now = f"{current}, made{f' at {_at(made_at)}' if made_at else ''}"
    made = [entry for entry in job.history if entry.type == "batch.pre_processed"]
    seen = next((entry for entry in reversed(made) if entry.data.get("plan_digest") == asked), None)
    if seen is None:
        return f"Cannot confirm the plan {asked}: the job never had it. Its plan is {of_now}"
    now = job.result.value("operations") if job.result else None
    return (
        f"Cannot confirm the plan {asked}, made at {_at(seen.time)}: the job has another plan since. It is {of_now}, "
        f"{_why(job.history)}. {_difference(seen.data.get('operations'), now)}"
    )


def _why(history: Sequence[HistoryEntry]) -> str:
    """Why the newest plan was made, when it was not the first."""
    again = next(entry for entry in reversed(history) if _begins_anew(entry))
    what = again.data.get("reason", "checked again") if again.type == "batch.updated" else "retried"
    by = f" by {again.data['by']}" if "by" in again.data else ""
    return f"since the job was {what}{by} at {_at(again.time)}"


def _begins_anew(entry: HistoryEntry) -> bool:
    """Whether pre-processing began from nothing there; runs that are lost on the way are told by `batch.updated` too."""
    return entry.type in _REMADE and entry.data.get("status") == Status.CREATED and "attempt" not in entry.data


def _difference(then: Json, now: Json) -> str:
    """What the counts of two plans are, where they differ."""
    if not isinstance(then, Mapping) or not isinstance(now, Mapping):
        return "How many records it concerns is not known of both"
    kinds = dict.fromkeys((*then, *now))
    changes = [
        f"{kind} {then.get(kind, 0)} → {now.get(kind, 0)}" for kind in kinds if then.get(kind, 0) != now.get(kind, 0)
    ]
    return f"What has changed: {', '.join(changes)}" if changes else "It concerns as many records of each kind"


def _at(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

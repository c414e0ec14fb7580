"""Confirmations and cancellations that come before their job, and where they wait for it: in a placeholder.

Triggers of one job may overtake each other on their way through several processes. One that comes first holds no place
in a queue: it is kept under the job's own id, and the process that writes the job finds it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from batchbus_events.event import Event
from batchbus_service.domain.bus_rules import UNVOUCHED, BusRules
from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.lifecycle import Cause, Decider

if TYPE_CHECKING:
    from batchbus_service.domain.job import Job

__all__ = [
    "MAX_EARLY",
    "MAX_OF_ONE_SENDER",
    "PLACEHOLDER_SCHEMA",
    "ChangeTrigger",
    "Kept",
    "Placeholder",
    "carried_out",
    "why_not_kept",
]

MAX_EARLY: Final = 20
"""The most triggers that wait for one job."""
MAX_OF_ONE_SENDER: Final = 10_000
"""The most jobs for which triggers of one sender wait."""
PLACEHOLDER_SCHEMA: Final = 1000
"""What a placeholder's document has where a job's has its schema: far above it, so that it is read as no job."""

Kept = Literal["kept", "job", "full", "ended"]
"""What became of an early trigger. `job`: there is one by now. `full`: too many wait for it. `ended`: those that wait are
being answered, after which the trigger can be kept anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTrigger:
    """A confirmation or cancellation: what it asks for, and who asks."""

    type: Literal["batch.confirmed", "batch.canceled"]
    cause: Cause
    sender: str
    """Who published it, as far as the broker or else the trigger itself says."""
    received_at: datetime
    reason: str | None = None
    plan_digest: str | None = None
    """Of a confirmation: the plan that it is for, if it names one."""

    def decide(self, decider: Decider, job: Job, now: datetime) -> Job:
        """What it makes of the job. Raises `NotAllowed`, also for a job that is not the sender's to change."""
        rules = decider.policy.bus
        rules.check_change(self._principal(rules, job), job)
        if self.type == "batch.confirmed":
            return decider.confirm(job, now, self.cause, early=True, plan_digest=self.plan_digest)
        return decider.cancel(job, now, self.cause, reason=self.reason)

    def _principal(self, rules: BusRules, job: Job) -> str | None:
        """The cause's. A trigger that an earlier version has kept has a sender alone, vouched for or not: it may be either."""
        if self.cause.principal is not None or rules.unvouched == "trusted":
            return self.cause.principal
        return job.principal if job.principal == UNVOUCHED + self.sender else self.sender

    def event(self, job_id: str) -> Event:
        """The trigger, as far as its answer needs it."""
        cause = self.cause
        return Event(
            type=self.type,
            source=cause.source or "",
            id=cause.event_id or "",
            data={},
            subject=job_id,
            traceparent=cause.traceparent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """Stands where a job will be. It has no status and is in no list: it is not a job."""

    id: str
    """The job's."""
    triggers: tuple[ChangeTrigger, ...]
    """In the order of their arrival, each once."""
    since: datetime
    wake_at: datetime
    """When its triggers are given up, unless the job has come."""
    ended: bool = False
    """They are given up: each is answered, then the placeholder goes."""
    revision: int = 1
    """Raised by every change."""


def why_not_kept(placeholder: Placeholder, trigger: ChangeTrigger) -> Kept | None:
    """What is to be answered to a trigger that cannot be added to those that wait; None if it can."""
    if placeholder.ended:
        return "ended"
    if trigger.cause.among([known.cause.key for known in placeholder.triggers]):
        return "kept"
    return "full" if len(placeholder.triggers) >= MAX_EARLY else None


def carried_out(
    decider: Decider, job: Job, placeholder: Placeholder, now: datetime
) -> tuple[Job, list[tuple[ChangeTrigger, str]]]:
    """The new job after what was asked of it before it was there, and the triggers that cannot be carried out, with why."""
    refused: list[tuple[ChangeTrigger, str]] = []
    for trigger in placeholder.triggers:
        try:
            job = trigger.decide(decider, job, now)
        except NotAllowed as error:
            refused.append((trigger, str(error)))
    return job, refused

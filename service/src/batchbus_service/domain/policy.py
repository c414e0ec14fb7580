"""The numbers that the decisions about jobs depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from batchbus_service.domain.bus_rules import BusRules

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers that decisions depend on."""

    lease: timedelta = timedelta(seconds=30)
    max_attempts: int = 5
    """Runs that may end with an error in a row before the job is failed."""
    max_crashes: int = 2
    """Runs that may end a process of their own in a row."""
    max_lost_runs: int = 20
    """Runs that may be lost with their worker in a row: as a rule that is not the job's fault."""
    publish_grace: timedelta = timedelta(seconds=10)
    """How long a process has to publish an event that it wrote, before the rescuer publishes it."""
    confirm_within: timedelta = timedelta(days=7)
    worker_within: timedelta = timedelta(minutes=5)
    """How long a worker may take to come for a job of a type that no process serves, before that is said."""
    wait_for_room: timedelta = timedelta(hours=1)
    """How long a job waits for a file store that is full, before that counts as a failure like any other."""
    room_every: timedelta = timedelta(seconds=60)
    retry_base: timedelta = timedelta(seconds=1)
    retry_cap: timedelta = timedelta(minutes=5)
    require_plan_digest: bool = False
    """Whether a confirmation has to name the plan that it is for, where the plan has a digest."""
    bus: BusRules = field(default_factory=BusRules)
    """What those who publish on the bus may do."""

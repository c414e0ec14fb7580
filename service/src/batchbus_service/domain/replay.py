"""One replay: what is to be published again, where to, how far it got, and who did what to it and why.

    planning -> planned -> running <-> paused
                   |          |          |
                aborted   completed   aborted         `failed` from planning and running

`MOVES` is the one table of moves. Every decision here is pure: the store makes it stick by a compare-and-set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from batchbus_service.domain.audit import AuditEntry
from batchbus_service.domain.errors import ReplayRefused
from batchbus_service.domain.plurals import counted
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.domain.state_machine import Move, StateMachine

__all__ = [
    "AT_WORK",
    "CONFIRM_ABOVE",
    "DEFAULT_RATE",
    "MAX_RATE",
    "Claim",
    "Plan",
    "Position",
    "Replay",
    "State",
]

CONFIRM_ABOVE: Final = 10_000
"""More events than this are published only if the operator confirms the number."""
DEFAULT_RATE: Final = 1000
"""Events per second, at most, unless the operator names another rate."""
MAX_RATE: Final = 100_000


class State(StrEnum):
    """Where a replay is."""

    PLANNING = "planning"
    """Some process counts what it would publish."""
    PLANNED = "planned"
    """Nothing is published until an operator starts it."""
    RUNNING = "running"
    PAUSED = "paused"
    """Stopped by an operator, or because the destination cannot take it; `trouble` says which."""
    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"


AT_WORK: Final = (State.PLANNING, State.RUNNING)
"""The states in which a replay needs a process."""

MOVES: Final = StateMachine(
    State.PLANNING,
    "planned by an operator",
    Move(State.PLANNING, State.PLANNED, "it is counted what it would publish", "replayer"),
    Move(State.PLANNED, State.RUNNING, "run", "operator"),
    Move(State.RUNNING, State.PAUSED, "paused, or the destination cannot take it", "operator"),
    Move(State.PAUSED, State.RUNNING, "resumed", "operator"),
    Move(State.RUNNING, State.COMPLETED, "everything is published", "replayer"),
    *(
        Move(source, State.ABORTED, "aborted", "operator")
        for source in (State.PLANNING, State.PLANNED, State.RUNNING, State.PAUSED)
    ),
    *(Move(source, State.FAILED, "it cannot be done", "replayer") for source in (State.PLANNING, State.RUNNING)),
)
"""Every allowed change of a replay's state."""


class Position(NamedTuple):
    """An event's place in a replay: by time, and within one time by job and sequence.

    `time` never goes back within one job, even if the clocks of the processes that wrote its history did.
    """

    time: datetime
    job_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay would publish, counted when it was planned."""

    events: int
    jobs: int
    by_type: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    """Times of the first and the last event."""
    sample: tuple[Mapping[str, object], ...]
    """The first few of them: `{type, job_id, sequence, time}`."""
    destination_exists: bool
    waiting: int | None
    """Messages that waited in the destination already; None for an exchange, or where the broker does not tell."""
    consumers: int | None
    """Of the destination; None likewise."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one process to carry the replay out, until it expires."""

    worker: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Times are UTC with milliseconds. The past is never edited: `audit` only grows."""

    id: str
    """`replay_` and a ULID: the `replayid` of every event it publishes."""
    selection: Selection
    destination: Destination
    reason: str
    created_by: str
    created_at: datetime
    state: State = State.PLANNING
    rate: int = DEFAULT_RATE
    plan: Plan | None = None
    started_at: datetime | None = None
    """When it was first run: the `replayedat` of every event it publishes."""
    started_by: str | None = None
    ended_at: datetime | None = None
    position: Position | None = None
    """The last event up to which the broker has confirmed every one."""
    published: int = 0
    """How many that are."""
    repeated: int = 0
    """Events that may have been published a second time, because a process ended or the broker did not answer."""
    trouble: str | None = None
    """What keeps it from going on, or made it fail."""
    audit: tuple[AuditEntry, ...] = ()
    version: int = 1
    """Raised by every change of state; every change of state filters on it."""
    fence: int = 0
    """Raised by every claim; what the process that carries it out writes filters on it."""
    claim: Claim | None = None

    @property
    def ended(self) -> bool:
        return MOVES.ends(self.state)

    def run(self, by: str, now: datetime, *, confirm: bool, rate: int | None = None) -> Replay:
        """Start it. Raises `ReplayRefused`: also if it is large, or for everyone, and `confirm` is not given."""
        if self.state is not State.PLANNED:
            raise ReplayRefused(_cannot("run", self.state))
        assert self.plan is not None
        if not self.plan.destination_exists:
            raise ReplayRefused(
                f"The queue {self.destination.queue} did not exist when this was planned. Start its subscriber, which "
                "declares it, and plan again."
            )
        if not confirm and self.destination.exchange:
            raise ReplayRefused(
                f"This publishes {counted(self.plan.events, 'event')} to {self.destination.exchange}, and so to every subscriber "
                "there is. Confirm that you mean it, or name the queue of one subscriber."
            )
        if not confirm and self.plan.events > CONFIRM_ABOVE:
            raise ReplayRefused(
                f"This publishes {self.plan.events:,} events, more than {CONFIRM_ABOVE:,}. Confirm that you mean it, or "
                "choose fewer."
            )
        started = replace(self, started_at=now, started_by=by, rate=rate or self.rate)
        return started._moved(State.RUNNING, by, "run", now, {"rate": started.rate, "confirmed": confirm})

    def pause(self, by: str, now: datetime) -> Replay:
        """Stop after the batch that is being published."""
        if self.state is not State.RUNNING:
            raise ReplayRefused(_cannot("pause", self.state))
        return self._moved(State.PAUSED, by, "pause", now, {"published": self.published})

    def resume(self, by: str, now: datetime, *, rate: int | None = None) -> Replay:
        """Go on, at another rate if one is given; one that runs only changes its rate."""
        if self.state is State.RUNNING and rate:
            changed = replace(self, rate=rate, version=self.version + 1)
            return changed.noted(by, "rate", now, {"rate": rate})
        if self.state is not State.PAUSED:
            raise ReplayRefused(_cannot("resume", self.state))
        resumed = replace(self, rate=rate or self.rate, trouble=None)
        return resumed._moved(State.RUNNING, by, "resume", now, {"rate": resumed.rate})

    def abort(self, by: str, now: datetime) -> Replay:
        """End it where it is. What was published stays published."""
        if not MOVES.allows(self.state, State.ABORTED):
            raise ReplayRefused(_cannot("abort", self.state))
        return self._moved(State.ABORTED, by, "abort", now, {"published": self.published})

    def claimed(self, claim: Claim, now: datetime) -> Replay:
        """For a process to carry out; noted if it takes over from one that ended without a word."""
        claimed = replace(self, fence=self.fence + 1, claim=claim)
        if self.claim is None or self.state is not State.RUNNING:
            return claimed
        return claimed.noted(claim.worker, "taken over", now, {"from": self.claim.worker, "published": self.published})

    def planned(self, plan: Plan, by: str, now: datetime) -> Replay:
        counted = {"events": plan.events, "jobs": plan.jobs}
        return replace(self, plan=plan)._moved(State.PLANNED, by, "planned", now, counted)

    def completed(self, by: str, now: datetime) -> Replay:
        counts = {"published": self.published, "repeated": self.repeated}
        return self._moved(State.COMPLETED, by, "completed", now, counts)

    def stopped(self, trouble: str, by: str, now: datetime) -> Replay:
        """The destination cannot take it: an operator resumes it once that is mended."""
        return replace(self, trouble=trouble)._moved(State.PAUSED, by, "stopped", now, {"trouble": trouble})

    def failed(self, trouble: str, by: str, now: datetime) -> Replay:
        return replace(self, trouble=trouble)._moved(State.FAILED, by, "failed", now, {"trouble": trouble})

    def _moved(self, state: State, by: str, what: str, now: datetime, details: Mapping[str, object]) -> Replay:
        assert MOVES.allows(self.state, state), (self.state, state)
        moved = replace(
            self,
            state=state,
            version=self.version + 1,
            ended_at=now if MOVES.ends(state) else None,
        )
        return moved.noted(by, what, now, details)

    def noted(self, by: str, what: str, now: datetime, details: Mapping[str, object]) -> Replay:
        return replace(self, audit=(*self.audit, AuditEntry(at=now, by=by, what=what, details=details)))


def _cannot(what: str, state: State) -> str:
    hint = {
        State.PLANNING: "it is still being planned; look at it again in a moment",
        State.PLANNED: "it has not been run yet",
        State.RUNNING: "it runs already; pause it first, or change its rate",
        State.PAUSED: "it is paused; resume or abort it",
    }.get(state, "it has ended; plan a new one")
    return f"Cannot {what} a replay that is {state.value}: {hint}."

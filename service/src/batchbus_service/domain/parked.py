"""One message that could not be used: how often it failed, and which operators did what about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from batchbus_events.bus import Message
from batchbus_service.domain.audit import ReasonedEntry
from batchbus_service.domain.errors import ParkedRefused
from batchbus_service.domain.state_machine import Move, StateMachine

__all__ = [
    "MOVES",
    "Filter",
    "ParkedMessage",
    "State",
]


class State(StrEnum):
    """What has become of it."""

    PARKED = "parked"
    """Waits for an operator."""
    REQUEUED = "requeued"
    """Was put back as it is."""
    REPLACED = "replaced"
    """An edited copy was put back instead."""
    DISCARDED = "discarded"


MOVES: Final = StateMachine(
    State.PARKED,
    "a message cannot be used",
    Move(State.PARKED, State.REQUEUED, "put back as it is", "operator"),
    Move(State.PARKED, State.REPLACED, "an edited copy is put back", "operator"),
    Move(State.PARKED, State.DISCARDED, "discarded", "operator"),
    Move(State.REQUEUED, State.PARKED, "it failed again", "subscriber"),
    Move(State.REPLACED, State.PARKED, "it failed again", "subscriber"),
    Move(State.DISCARDED, State.PARKED, "it failed again", "subscriber"),
)
"""Every allowed change of a parked message's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedMessage:
    """Times are UTC with milliseconds. The message itself is never changed; `audit` only grows."""

    id: str
    """`parked_` and 26 characters, derived from the message: the same message that fails again is the same record."""
    routing_key: str
    message_id: str | None
    content_type: str
    headers: Mapping[str, str | int | bool]
    user_id: str | None
    """Who published it, where the broker vouched for that."""
    size: int
    """Of its body, in bytes; the body is kept in the file store, as `body_key`."""
    reason: str
    """Why it failed the last time."""
    first_failed_at: datetime
    last_failed_at: datetime
    times: int = 1
    """How often it failed."""
    state: State = State.PARKED
    audit: tuple[ReasonedEntry, ...] = ()
    version: int = 1

    @property
    def body_key(self) -> str:
        return f"parked/{self.id}"

    def message(self, body: bytes) -> Message:
        """It, with its body, as it was when it failed."""
        return Message(
            body=body,
            routing_key=self.routing_key,
            message_id=self.message_id,
            content_type=self.content_type,
            headers=self.headers,
            user_id=self.user_id,
        )

    def again(self, later: ParkedMessage) -> ParkedMessage:
        """It has failed again after it was put back."""
        return replace(
            self,
            reason=later.reason,
            last_failed_at=later.last_failed_at,
            times=self.times + 1,
            state=State.PARKED,
            version=self.version + 1,
        )

    def requeued(self, by: str, now: datetime, reason: str) -> ParkedMessage:
        """Raises `ParkedRefused` unless it waits for an operator."""
        return self._dealt_with(State.REQUEUED, "requeue", by, now, reason)

    def replaced(self, by: str, now: datetime, reason: str, copy: Message) -> ParkedMessage:
        """An edited copy was put back; what was edited is kept with who did it. Raises `ParkedRefused`."""
        changed = {"routing_key": copy.routing_key, "body": copy.body.decode(errors="backslashreplace")}
        return self._dealt_with(State.REPLACED, "edit", by, now, reason, changed)

    def discarded(self, by: str, now: datetime, reason: str) -> ParkedMessage:
        """Raises `ParkedRefused` unless it waits for an operator."""
        return self._dealt_with(State.DISCARDED, "discard", by, now, reason)

    def _dealt_with(
        self, state: State, what: str, by: str, now: datetime, reason: str, details: Mapping[str, object] | None = None
    ) -> ParkedMessage:
        if not MOVES.allows(self.state, state):
            last = self.audit[-1]
            raise ParkedRefused(f"{self.id} is {self.state.value} already, by {last.by}: {last.reason}")
        entry = ReasonedEntry(at=now, by=by, what=what, reason=reason, details=details or {})
        return replace(self, state=state, audit=(*self.audit, entry), version=self.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Every condition that is given has to hold."""

    state: State = State.PARKED
    routing_key: str | None = None
    reason: str | None = None
    """Part of the reason, in letters of any case."""
    since: datetime | None = None
    until: datetime | None = None
    """Bounds of the last failure: from `since` on, before `until`."""

"""The audit trail that replays and parked messages have: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["AuditEntry", "ReasonedEntry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that someone did."""

    at: datetime
    by: str
    what: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonedEntry(AuditEntry):
    """One thing for which they had to give a reason."""

    reason: str

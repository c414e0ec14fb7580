"""The port of the audit trail of access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

__all__ = ["AuditRecord", "AuditStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One thing that somebody did, or was refused."""

    id: str
    """`aud_` and a ULID."""
    at: datetime
    what: str
    """Such as `login`, `login_refused`, `token_created`, or the method and route of what an operator asked for."""
    by: str | None
    """The id of the user; None for a stranger."""
    address: str
    """The IP address that it came from."""
    about: str | None = None
    """Of whom or what: an id, an email address, a path."""
    details: Mapping[str, str | int | list[str]] = field(default_factory=dict)


class AuditStore(Protocol):
    """The audit trail. It can be added to and read, and that is all. Every method may raise `StoreUnavailable`."""

    async def prepare(self) -> None:
        """Have the store find records by who did something."""

    async def append(self, record: AuditRecord) -> None:
        """Add a record; durable once it returns."""

    async def page(self, *, by: str | None, what: str | None, offset: int, limit: int) -> tuple[list[AuditRecord], int]:
        """Records, the newest first, and how many there are in all. Those that cannot be read are left out."""

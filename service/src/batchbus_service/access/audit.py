"""The audit trail of access: who signed in or was refused, who changed users and tokens, and what operators did."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from batchbus_events.ids import new_ulid
from batchbus_service.access.logins import network_of
from batchbus_service.access.secrets import digest, now
from batchbus_service.domain.ports.audit import AuditRecord, AuditStore

__all__ = ["AuditTrail", "LimitedLogins"]

_SHOWN: Final = 200
_WINDOW: Final = 900.0
"""Seconds: as long as failed logins are counted."""
_MOST: Final = 500
"""Records of logins that a limit has turned away which a process writes in a window."""


class AuditTrail:
    """One per process. Records are added and listed; there is no way to change one. Each method may raise `StoreUnavailable`."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def prepare(self) -> None:
        """Have the store ready for use."""
        await self._store.prepare()

    async def note(
        self, what: str, *, by: str | None, address: str, about: str | None = None, **details: str | int | list[str]
    ) -> None:
        """Write down that somebody did something. `by`: the id of a user, None for a stranger; `about`: of what, or whom."""
        shortened: Mapping[str, str | int | list[str]] = {
            key: value[:_SHOWN] if isinstance(value, str) else value for key, value in details.items()
        }
        await self._store.append(
            AuditRecord(
                id=f"aud_{new_ulid()}",
                at=now(),
                what=what,
                by=by,
                address=address[:_SHOWN],
                about=about[:_SHOWN] if about else None,
                details=shortened,
            )
        )

    async def page(self, *, by: str | None, what: str | None, offset: int, limit: int) -> tuple[list[AuditRecord], int]:
        """Records, the newest first, and how many there are in all."""
        return await self._store.page(by=by, what=what, offset=offset, limit=limit)


class LimitedLogins:
    """Writes down logins that a limit has turned away: of each address at each account once in a quarter of an hour.

    Clients that are turned away go on asking, and could fill the trail. So a process writes so many in a quarter of an hour, and
    then one more, which says that the rest is left out. One per process.
    """

    def __init__(self, trail: AuditTrail, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._trail = trail
        self._most = most
        self._clock = clock
        self._ends = 0.0
        self._noted: set[str] = set()

    async def note(self, email: str, address: str, *, what: str = "login_limited") -> None:
        """Write it down, unless that was done, or there were too many. Raises `StoreUnavailable`."""
        if self._clock() >= self._ends:
            self._ends = self._clock() + _WINDOW
            self._noted.clear()
        attempt = f"{what} {digest(email.lower())} {network_of(address)}"
        if attempt in self._noted or len(self._noted) > self._most:
            return
        self._noted.add(attempt)
        if len(self._noted) > self._most:
            await self._trail.note("logins_limited", by=None, address="", more="those after this one are left out")
        else:
            await self._trail.note(what, by=None, address=address, about=email)

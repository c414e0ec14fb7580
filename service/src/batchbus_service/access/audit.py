"""The audit trail of access: who signed in or was refused, who changed users and tokens, and what operators did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchbus_events.ids import new_ulid
from batchbus_service.access.secrets import now
from batchbus_service.domain.ports.audit import AuditRecord, AuditStore

__all__ = ["AuditTrail"]

_SHOWN: Final = 200


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

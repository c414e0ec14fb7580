"""The port of the limits that strategies set on their calls of others."""

from __future__ import annotations

from typing import Protocol

from batchbus_service.domain.permits import PermitWindow

__all__ = ["PermitStore"]


class PermitStore(Protocol):
    """What was given away of each limit, by its name. Every method may raise `StoreUnavailable`."""

    async def prepare(self) -> None:
        """Have the store forget by itself what nobody has asked for in days."""

    async def get(self, name: str) -> PermitWindow | None:
        """What was given away last. Raises `UnreadableDocument`."""

    async def write(self, old: PermitWindow | None, new: PermitWindow) -> bool:
        """Write `new` if what is stored still is `old`, by its version; None: if nothing is. Returns whether it was."""

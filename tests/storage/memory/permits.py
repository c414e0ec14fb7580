"""What was given away of each limit, in one process."""

from __future__ import annotations

from batchbus_service.domain.permits import PermitWindow

__all__ = ["MemoryPermitStore"]


class MemoryPermitStore:
    """`PermitStore` in a dict."""

    def __init__(self) -> None:
        self._windows: dict[str, PermitWindow] = {}

    async def prepare(self) -> None:
        pass

    async def get(self, name: str) -> PermitWindow | None:
        return self._windows.get(name)

    async def write(self, old: PermitWindow | None, new: PermitWindow) -> bool:
        stored = self._windows.get(new.name)
        if (stored and stored.version) != (old and old.version):
            return False
        self._windows[new.name] = new
        return True

"""Whether this process can work: what of that which it needs can be reached."""

from __future__ import annotations

import asyncio
from typing import Final

from batchbus_events.bus import Bus
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.ports import DatabaseServer
from batchbus_service.journal.outbox import Outbox
from batchbus_service.telemetry.background import Background

__all__ = ["Readiness"]

_DATABASE_SECONDS: Final = 2.0
_WRITE_EVERY: Final = 5.0
"""Seconds between two small writes that try the database out, unless one was refused: then each question tries again."""


class Readiness:
    """One per process. However many ask, and however often, the database is asked by one call at a time."""

    def __init__(self, server: DatabaseServer, bus: Bus, outbox: Outbox, background: Background) -> None:
        self._server = server
        self._bus = bus
        self._outbox = outbox
        self._background = background
        self._pinging: asyncio.Task[str] | None = None
        self._write_again_at = 0.0

    async def needed(self) -> dict[str, str]:
        """What the process cannot do without: `ok`, or what is wrong."""
        return {"database": await self._ask_database(), "broker": self._broker()}

    def advisory(self) -> dict[str, str]:
        """What goes wrong without keeping the process from its work."""
        tasks = "; ".join(f"{name}: {failure}" for name, failure in sorted(self._background.failures.items()))
        return {"outbox": self._outbox.failure or "ok", "tasks": tasks or "ok"}

    async def _ask_database(self) -> str:
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._ping(), name="ping the database")
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                # A call to a frozen server goes on in its thread after the wait for it has ended.
                return await asyncio.shield(self._pinging)
        except TimeoutError:
            return f"no answer within {_DATABASE_SECONDS:g} seconds"

    async def _ping(self) -> str:
        loop = asyncio.get_running_loop()
        try:
            await self._server.try_out(write=loop.time() >= self._write_again_at)
        except StoreUnavailable as error:
            self._write_again_at = 0.0
            return str(error)
        if loop.time() >= self._write_again_at:
            self._write_again_at = loop.time() + _WRITE_EVERY
        return "ok"

    def _broker(self) -> str:
        return "ok" if self._bus.connected else "cannot be reached"

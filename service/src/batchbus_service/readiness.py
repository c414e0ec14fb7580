"""Whether this process can work: what of that which it needs can be reached."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from batchbus_events.bus import Bus
from batchbus_service.outbox import Outbox

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["Readiness"]

_DATABASE_SECONDS: Final = 2.0


class Readiness:
    """One per process. However many ask, and however often, the database is asked by one call at a time."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]], bus: Bus, outbox: Outbox) -> None:
        self._database = database
        self._bus = bus
        self._outbox = outbox
        self._pinging: asyncio.Task[str] | None = None

    async def needed(self) -> dict[str, str]:
        """What the process cannot do without: `ok`, or what is wrong."""
        return {"database": await self._ask_database(), "broker": self._broker()}

    def advisory(self) -> dict[str, str]:
        """What goes wrong without keeping the process from its work."""
        return {"outbox": self._outbox.trouble or "ok"}

    async def _ask_database(self) -> str:
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._ping(), name="ping the database")
        try:
            async with asyncio.timeout(_DATABASE_SECONDS):
                # A call to a frozen server goes on in its thread, whoever stops waiting for it.
                return await asyncio.shield(self._pinging)
        except TimeoutError:
            return f"no answer within {_DATABASE_SECONDS:g} seconds"

    async def _ping(self) -> str:
        try:
            await self._database.command("ping")
        except PyMongoError as error:
            return f"cannot be reached: {type(error).__name__}"
        return "ok"

    def _broker(self) -> str:
        return "ok" if self._bus.connected else "cannot be reached"

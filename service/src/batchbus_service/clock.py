"""Clocks: the time of day as the database server has it, and a stopwatch that nobody can set."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase
    from structlog.typing import FilteringBoundLogger

__all__ = ["ServerClock", "SystemClock"]

_STOPWATCH: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while the machine sleeps, where there is such a clock: a lease runs out meanwhile."""
_NEGLIGIBLE: Final = timedelta(milliseconds=50)
"""The jitter of a round trip: below it there is nothing to correct."""
_MEASURE_EVERY: Final = 60.0


class SystemClock:
    """This machine's clock, and what it is off by."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        now = datetime.now(UTC) + self.offset
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return time.clock_gettime(_STOPWATCH)


class ServerClock(SystemClock):
    """Time as the database server has it: `measure` asks what this machine's clock is off by."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        super().__init__()
        self._database = database

    async def measure(self) -> None:
        """Ask the server for its time; half of the round trip is taken for the way back. Raises `PyMongoError`."""
        asked = datetime.now(UTC)
        hello = await self._database.command("hello")
        answered = datetime.now(UTC)
        server: datetime = hello["localTime"]
        offset = server.replace(tzinfo=UTC) - (asked + (answered - asked) / 2)
        self.offset = offset if abs(offset) > _NEGLIGIBLE else timedelta(0)

    async def keep(self, log: FilteringBoundLogger) -> None:
        """Measure again and again, since clocks drift apart and are set; for ever."""
        while True:
            await asyncio.sleep(_MEASURE_EVERY)
            try:
                await self.measure()
            except PyMongoError as error:
                log.warning("clock_not_compared", reason=type(error).__name__)

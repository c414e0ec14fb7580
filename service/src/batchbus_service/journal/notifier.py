"""Tells the other workers that jobs wait, at most twenty times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, BusError
from batchbus_service.domain.job import Job, lane
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.journal import messages

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Notifier"]

_PAUSE: Final = 0.05
"""Seconds between two rings."""


class Notifier(Lifetime):
    """One per process. A ring that is lost costs a second: workers look by themselves that often."""

    def __init__(self, bus: Bus, log: FilteringBoundLogger) -> None:
        self._bus = bus
        self._log = log
        self._lanes: set[str] = set()
        self._ringing: asyncio.Task[None] | None = None

    def ring(self, lanes: Iterable[str]) -> None:
        self._lanes.update(lanes)
        if self._lanes and self._ringing is None:
            self._ringing = asyncio.create_task(self._ring())

    def ring_for(self, jobs: Iterable[Job]) -> None:
        """Tell of those of the jobs that wait for a worker."""
        self.ring({lane(job.phase, job.type) for job in jobs if job.ready_at})

    async def close(self) -> None:
        """Ring once more, if there is something left to tell."""
        if self._ringing:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)
        await self._ring_once()

    async def _ring(self) -> None:
        try:
            while self._lanes:
                await self._ring_once()
                await asyncio.sleep(_PAUSE)
        finally:
            self._ringing = None

    async def _ring_once(self) -> None:
        lanes, self._lanes = self._lanes, set()
        if lanes:
            try:
                await self._bus.publish(topics.WORKERS, messages.doorbell(lanes))
            except BusError as error:
                self._log.debug("doorbell_not_rung", reason=str(error))

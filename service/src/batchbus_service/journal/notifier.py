"""Tells the other workers that jobs wait, at most twenty times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, BusError
from batchbus_service.domain.job import Job, work_queue
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.journal import messages

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Notifier"]

_PAUSE: Final = 0.05
"""Seconds between two notifications."""


class Notifier(Lifetime):
    """One per process. A notification that is lost costs a second: workers look by themselves that often."""

    def __init__(self, bus: Bus, log: FilteringBoundLogger) -> None:
        self._bus = bus
        self._log = log
        self._queues: set[str] = set()
        self._notifying: asyncio.Task[None] | None = None

    def notify(self, queues: Iterable[str]) -> None:
        self._queues.update(queues)
        if self._queues and self._notifying is None:
            self._notifying = asyncio.create_task(self._notify_for_a_while())

    def notify_of(self, jobs: Iterable[Job]) -> None:
        """Say that those of the jobs are there which wait for a worker."""
        self.notify({work_queue(job.phase, job.type) for job in jobs if job.ready_at})

    async def close(self) -> None:
        """Notify once more, if there is something left to say."""
        if self._notifying:
            self._notifying.cancel()
            await asyncio.gather(self._notifying, return_exceptions=True)
        await self._notify_once()

    async def _notify_for_a_while(self) -> None:
        try:
            while self._queues:
                await self._notify_once()
                await asyncio.sleep(_PAUSE)
        finally:
            self._notifying = None

    async def _notify_once(self) -> None:
        queues, self._queues = self._queues, set()
        if queues:
            try:
                await self._bus.publish(topics.WORKERS, messages.work_available(queues))
            except BusError as error:
                self._log.debug("workers_not_notified", reason=str(error))

"""Worker processes that a supervisor starts again whenever one ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from batchbus_service.app.bootstrap import Timeouts
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess

__all__ = ["Fleet"]

_AGAIN_SECONDS = 0.5


class Fleet:
    """Use it as `async with Fleet.of(2, installation) as fleet`."""

    def __init__(self) -> None:
        self.workers: list[WorkerProcess] = []
        """Those that live."""
        self.ended = 0
        self._started = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, size: int, installation: Installation, **settings: object) -> AsyncIterator[Fleet]:
        fleet = cls()
        supervisors = [asyncio.create_task(fleet._supervise(installation, settings)) for _ in range(size)]
        try:
            while len(fleet.workers) < size:
                fleet._started.clear()
                starting = asyncio.create_task(fleet._started.wait())
                await asyncio.wait((starting, *supervisors), return_when=asyncio.FIRST_COMPLETED)
                for supervisor in supervisors:
                    if supervisor.done():
                        supervisor.result()
            yield fleet
        finally:
            for supervisor in supervisors:
                supervisor.cancel()
            await asyncio.gather(*supervisors, return_exceptions=True)

    def any(self, random: Random) -> WorkerProcess:
        return random.choice(self.workers)

    async def _supervise(self, installation: Installation, settings: dict[str, object]) -> None:
        while True:
            try:
                async with installation.worker_process(timeouts=Timeouts(publish_grace=5.0), **settings) as worker:
                    self.workers.append(worker)
                    self._started.set()
                    try:
                        await worker.ended(within=None)
                    finally:
                        self.workers.remove(worker)
                        self.ended += 1
            except (AssertionError, TimeoutError):
                pass  # while broker or database are away it does not start
            await asyncio.sleep(_AGAIN_SECONDS)  # as a supervisor does

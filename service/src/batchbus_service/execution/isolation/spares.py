"""Child processes that are started before there is a run for them.

A start takes a second and more, most of it for imports. A job whose worker was lost needs a child, and that a worker does
not renew a lease is seen some seconds before the lease ends: so the child can be ready by then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.execution.execution import ProcessDied, RaisedInChild
from batchbus_service.execution.isolation.process import ChildProcess
from batchbus_service.execution.isolation.setup import Setup

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["SpareProcesses"]

_CHILD: Final = "batchbus_service.execution.isolation.child"
_PURPOSE: Final = "the run"
_MOST: Final = 4
"""Each has the memory of an interpreter with all that strategies import."""
_KEPT_SECONDS: Final = 60.0
"""How long one waits for a run. The worker that was missed may have come back, or others have taken its jobs."""


class SpareProcesses(Lifetime):
    """One per worker. `kept`: how many seconds a child waits for a run before it is ended."""

    def __init__(self, setup: Setup, log: FilteringBoundLogger, *, kept: float = _KEPT_SECONDS) -> None:
        self._setup = setup
        self._log = log
        self._kept = kept
        self._spares: deque[asyncio.Task[ChildProcess]] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def count(self) -> int:
        """How many there are that wait for a run, those included that are not ready yet."""
        return len(self._spares)

    def expect(self, runs: int) -> None:
        """So many runs may need a child in a moment: start what is lacking, up to a limit."""
        for _ in range(min(runs, _MOST) - len(self._spares)):
            if self._closed:
                return
            spare = asyncio.create_task(self._start(), name="starting a spare process")
            self._spares.append(spare)
            asyncio.get_running_loop().call_later(self._kept, self._drop, spare)

    async def serving(self, job_type: str) -> ChildProcess:
        """A child that serves the type, a spare one if there is any. Raises `RaisedInChild` if none can be had."""
        while self._spares:
            spare = self._spares.popleft()
            try:
                return await _set_up(await spare, job_type)
            except (ProcessDied, RaisedInChild) as error:  # while it had nothing to do: a new one may do better
                self._log.warning("spare_process_ended", reason=str(error))
            except asyncio.CancelledError:
                self._end(spare)
                raise
        child = await self._start()
        try:
            return await _set_up(child, job_type)
        except ProcessDied as error:
            raise RaisedInChild(f"The process for {_PURPOSE} could not be started: {error}") from None

    async def close(self) -> None:
        self._closed = True
        while self._spares:
            self._end(self._spares.popleft())
        while self._ending:
            await asyncio.wait(self._ending)

    async def _start(self) -> ChildProcess:
        return await ChildProcess.start(_CHILD, _PURPOSE, {"setup": self._setup.to_document()}, self._log)

    def _drop(self, spare: asyncio.Task[ChildProcess]) -> None:
        """Nothing has come for it."""
        if spare in self._spares:
            self._spares.remove(spare)
            self._end(spare)

    def _end(self, spare: asyncio.Task[ChildProcess]) -> None:
        task = asyncio.create_task(_ended(spare), name="ending a spare process")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _set_up(child: ChildProcess, job_type: str) -> ChildProcess:
    """Have the child serve the type. Closes it, and raises `ProcessDied`, if it does not."""
    try:
        await child.ask({"kind": "serve", "type": job_type})
    except BaseException:
        child.kill()
        await child.close()
        raise
    return child


async def _ended(spare: asyncio.Task[ChildProcess]) -> None:
    spare.cancel()  # one that is being started ends itself
    await asyncio.wait([spare])
    if not spare.cancelled() and spare.exception() is None:
        await spare.result().close()

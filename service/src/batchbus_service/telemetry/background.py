"""Tasks that run as long as the process does: begun again when something ends them, logged, and known to readiness."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Final

from batchbus_events.backoff import Backoff
from batchbus_events.tasks import end
from batchbus_service.domain.lifetime import Lifetime

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Background", "Periodic"]

_WELL_AGAIN: Final = 30.0
"""Seconds without another failure after which a task's trouble counts as over; longer than the pauses between tries."""


class Background:
    """One per process. `failures`: what has gone wrong with a task lately, by its name."""

    def __init__(self, log: FilteringBoundLogger, *, well_again: float = _WELL_AGAIN) -> None:
        self._log = log
        self._well_again = well_again
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.failures: dict[str, str] = {}

    def start(self, name: str, body: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None]:
        """Run `body`, and again whenever it raises. Where it returns it is done; else cancel the task in the end."""
        return asyncio.create_task(self._keep_going(name, body), name=name)

    def broke(self, name: str, error: Exception) -> None:
        """A task that goes on by itself tells what it could not do."""
        self._log.error("background_task_broke", task=name, exc_info=error)
        self.failures[name] = f"{type(error).__name__}: {error}"
        if timer := self._timers.get(name):
            timer.cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(self._well_again, self.failures.pop, name, None)

    async def _keep_going(self, name: str, body: Callable[[], Coroutine[None, None, None]]) -> None:
        backoff = Backoff()
        while True:
            try:
                return await body()
            except Exception as error:  # noqa: BLE001 - `broke` tells the operator
                self.broke(name, error)
            await backoff.wait()


class Periodic(Lifetime):
    """Calls `action` again and again, with a pause between two calls. What it raises is reported, and the next call comes."""

    def __init__(
        self,
        background: Background,
        name: str,
        action: Callable[[], Awaitable[object]],
        *,
        every: float,
        jitter: float = 0.0,
        pause_first: bool = False,
        on_time: bool = False,
        within: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """`every`: seconds. `jitter`: by which part of itself a pause may be longer or shorter, so that many processes
        do not ask at the same moment. `on_time`: a call that took long shortens the pause behind it. `within`: asked
        before each pause, in how many seconds there is something to do, if that is known.
        """
        self._background = background
        self._name = name
        self._action = action
        self._every = every
        self._jitter = jitter
        self._pause_first = pause_first
        self._on_time = on_time
        self._within = within
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = self._background.start(self._name, self._keep_calling)

    async def close(self) -> None:
        if self._task:
            await end(self._task)

    async def _keep_calling(self) -> None:
        loop, took = asyncio.get_running_loop(), 0.0
        if self._pause_first:
            await self._pause(took)
        while True:
            began = loop.time()
            try:
                await self._action()
            except Exception as error:  # noqa: BLE001 - the operator gets to know, and the next call may do better
                self._background.broke(self._name, error)
            took = loop.time() - began
            await self._pause(took)

    async def _pause(self, took: float) -> None:
        # There is nothing to wait on: what the action looks at is outside of this process.
        pause = self._every * random.uniform(1 - self._jitter, 1 + self._jitter) if self._jitter else self._every
        pause = max(0.0, pause - took) if self._on_time else pause
        await asyncio.sleep(min(pause, self._within()))

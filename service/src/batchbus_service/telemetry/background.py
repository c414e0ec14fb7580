"""Tasks that run as long as the process does: begun again when something ends them, logged, and known to readiness."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from batchbus_events.backoff import Backoff

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Background"]

_WELL_AGAIN: Final = 30.0
"""Seconds without another failure after which a task's trouble counts as over; longer than the pauses between tries."""


class Background:
    """One per process. `troubles`: what has gone wrong with a task lately, by its name."""

    def __init__(self, log: FilteringBoundLogger, *, well_again: float = _WELL_AGAIN) -> None:
        self._log = log
        self._well_again = well_again
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.troubles: dict[str, str] = {}

    def start(self, name: str, body: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run `body`, and again whenever it raises. Where it returns it is done; else cancel the task in the end."""
        return asyncio.create_task(self._keep_going(name, body), name=name)

    def broke(self, name: str, error: Exception) -> None:
        """A task that goes on by itself tells what it could not do."""
        self._log.error("background_task_broke", task=name, exc_info=error)
        self.troubles[name] = f"{type(error).__name__}: {error}"
        if timer := self._timers.get(name):
            timer.cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(self._well_again, self.troubles.pop, name, None)

    async def _keep_going(self, name: str, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        backoff = Backoff()
        while True:
            try:
                return await body()
            except Exception as error:  # noqa: BLE001 - `broke` tells the operator
                self.broke(name, error)
            await backoff.wait()

"""An event loop whose clock stands still while there is something to do, and jumps to the next timer when there is not.

Hours pass in seconds, and the same seed gives the same run: nothing in it waits for the real world.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import structlog

from batchbus_service.domain.ports import DatabaseServer
from batchbus_service.storage.clock import ServerClock

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["VirtualClock", "VirtualLoop", "VirtualServer", "run_virtually", "server_time"]

T = TypeVar("T")

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual, and so is every timeout and sleep."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: object, function: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        """What would be done in a thread is done at once: a thread would live in another time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - whoever waits for the future gets it
            future.set_exception(error)
        return future


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # No file or socket takes part, so the operating system is never asked.
        if timeout is None:
            raise RuntimeError("Everything waits for something that nobody will ever do")
        if timeout:
            self._loop.jump(timeout)
        return []


class VirtualClock(ServerClock):
    """The engine's own clock, on a machine whose stopwatch is the loop's time, and no other machine's.

    Without a database to ask for the time, it begins with that of this machine.
    `began`: what the stopwatch showed at the loop's 0. `fast`: by how much of itself it runs too fast.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        server: VirtualServer | None = None,
        log: FilteringBoundLogger | None = None,
        *,
        began: float = 0.0,
        fast: float = 0.0,
    ) -> None:
        self._loop = loop
        self._began = began
        self._rate = 1 + fast
        log = log or structlog.get_logger()
        super().__init__(cast("DatabaseServer", server), log)

    def monotonic(self) -> float:
        return self._began + self._loop.time() * self._rate


class VirtualServer(Protocol):
    """What `VirtualClock` asks for the time."""

    async def time(self) -> datetime: ...


def server_time(loop: asyncio.AbstractEventLoop, ahead: float) -> datetime:
    """The clock of the database server: the loop's time, and what somebody has set it ahead by, in seconds."""
    return _START + timedelta(seconds=loop.time() + ahead)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)

"""An event loop whose clock stands still while there is something to do, and jumps to the next timer when there is not.

Hours pass in seconds, and the same seed gives the same run: nothing in it waits for the real world.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

__all__ = ["VirtualClock", "VirtualLoop", "run_virtually"]

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual, and so is every timeout and sleep."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("Everything waits for something that nobody will ever do")
            self._loop.jump(timeout)
        return events


class VirtualClock:
    """The `Clock` port on the loop's time. `offset`: seconds that this process's idea of the time is wrong by."""

    _START = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, loop: asyncio.AbstractEventLoop, offset: float = 0.0) -> None:
        self._loop = loop
        self._offset = offset

    def now(self) -> datetime:
        now = self._START + timedelta(seconds=self._loop.time() + self._offset)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sure(self) -> bool:
        return True


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)

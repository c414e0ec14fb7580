"""Items with the same key are worked on one after another; items with different keys run side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from batchbus_events.tasks import end

__all__ = ["KeyedExecutor"]

_T = TypeVar("_T")

_logger = logging.getLogger(__name__)


class KeyedExecutor(Generic[_T]):
    """Calls `work` for each item that is added. Of a key's waiting items, the one with the lowest order goes first.

    An error that `work` raises is logged, and the next item of the key follows.
    """

    def __init__(self, work: Callable[[_T], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: dict[str, list[tuple[int, int, _T]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._arrivals = count()
        self._closing = False

    def add(self, key: str, order: int, item: _T) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = []
            task = asyncio.get_running_loop().create_task(self._run(key, waiting))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        heappush(waiting, (order, next(self._arrivals), item))

    async def close(self, grace: float) -> None:
        """Start no more items. Items that still run after `grace` seconds are cancelled."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        await end(*self._running)

    async def _run(self, key: str, waiting: list[tuple[int, int, _T]]) -> None:
        try:
            while waiting and not self._closing:
                *_, item = heappop(waiting)
                try:
                    await self._work(item)
                except Exception:
                    _logger.exception("an item of %s failed; the next one follows", key)
        finally:
            del self._waiting[key]

"""Lanes: what belongs to one job is done one after another, what belongs to different jobs side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from batchbus_events.tasks import end

__all__ = ["Lanes"]

_T = TypeVar("_T")

_logger = logging.getLogger(__name__)


class Lanes(Generic[_T]):
    """Does `work` with each item that is added. Of the items of one lane that wait, the lowest place goes first.

    What `work` raises is logged, and the lane goes on with the next item.
    """

    def __init__(self, work: Callable[[_T], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: dict[str, list[tuple[int, int, _T]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._arrivals = count()
        self._closing = False

    def add(self, lane: str, place: int, item: _T) -> None:
        waiting = self._waiting.get(lane)
        if waiting is None:
            waiting = self._waiting[lane] = []
            task = asyncio.get_running_loop().create_task(self._run(lane, waiting))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        heappush(waiting, (place, next(self._arrivals), item))

    async def close(self, grace: float) -> None:
        """Begin nothing more; after `grace` seconds, cancel what has not ended."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        await end(*self._running)

    async def _run(self, lane: str, waiting: list[tuple[int, int, _T]]) -> None:
        try:
            while waiting and not self._closing:
                *_, item = heappop(waiting)
                try:
                    await self._work(item)
                except Exception:
                    _logger.exception("what lane %s was to do has failed; it goes on with the next", lane)
        finally:
            del self._waiting[lane]

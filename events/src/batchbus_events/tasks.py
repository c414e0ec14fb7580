"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any, Final

__all__ = ["end"]

_AGAIN_SECONDS: Final = 1.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended, however they end.

    A cancellation can be lost: a task that waits for another passes it on to that one, which may swallow it, as
    aiormq's do while they connect. So whoever has not ended a while later is cancelled again.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)

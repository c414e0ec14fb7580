"""Waiting for processes that others have started: until they say who they are, and until they have ended."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path

from tests.patience import PATIENCE

__all__ = ["ended", "written"]


async def ended(process: int) -> bool:
    """Waits until a process has ended."""
    try:
        watched = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        return bool(await asyncio.to_thread(poll.poll, PATIENCE * 1000))
    finally:
        os.close(watched)


async def written(place: Path) -> int:
    """The process id that a computation writes, once it has."""
    async with asyncio.timeout(PATIENCE):
        while not place.exists():  # noqa: ASYNC110 - a file has no signal
            await asyncio.sleep(0.01)
    return int(place.read_text())

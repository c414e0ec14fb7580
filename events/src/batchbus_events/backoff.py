"""Pauses between tries of something that has to work in the end."""

from __future__ import annotations

import asyncio
import random
from typing import Final

__all__ = ["Backoff"]

_LONGEST_PAUSE: Final = 10.0
_CALM_SECONDS: Final = 30.0


class Backoff:
    """Pauses between tries: none for the first after a calm time, then ever longer ones, with jitter."""

    def __init__(self) -> None:
        self._tries = 0
        self._last = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tries = self._tries + 1 if now - self._last < _CALM_SECONDS else 0
        if self._tries:
            await asyncio.sleep(min(_LONGEST_PAUSE, 0.1 * 2**self._tries) * random.uniform(0.5, 1))
        self._last = asyncio.get_running_loop().time()

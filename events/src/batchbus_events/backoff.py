"""Pauses between tries of something that has to work in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import count
from typing import Final

__all__ = ["Backoff", "delay", "pauses"]

_LONGEST_PAUSE: Final = 10.0
_CALM_SECONDS: Final = 30.0


def delay(tries: int, *, first: float, longest: float, factor: float = 2.0) -> float:
    """Seconds to wait after so many tries that failed, from 1 on: `first`, then each `factor` times the one before.

    Never more than `longest`, for any number of tries: powers overflow after some hundreds, hours into an outage.
    """
    if first <= 0:
        return 0.0
    try:
        return min(longest, first * float(factor) ** (tries - 1))
    except OverflowError:
        return longest


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait after each try that failed, for ever: `first`, then each twice the one before, up to `longest`."""
    return (delay(tries, first=first, longest=longest) for tries in count(1))


class Backoff:
    """Pauses between tries: none for the first after a calm time, then ever longer ones, with jitter."""

    def __init__(self) -> None:
        self._tries = 0
        self._last = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tries = self._tries + 1 if now - self._last < _CALM_SECONDS else 0
        if self._tries:
            await asyncio.sleep(delay(self._tries, first=0.2, longest=_LONGEST_PAUSE) * random.uniform(0.5, 1))
        self._last = asyncio.get_running_loop().time()

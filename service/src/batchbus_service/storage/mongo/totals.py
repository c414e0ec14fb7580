"""Totals of lists, remembered for a few seconds where they are expensive to count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from batchbus_service.domain.ports import Clock

__all__ = ["LEAST_REMEMBERED", "SECONDS_REMEMBERED", "Totals"]

LEAST_REMEMBERED: Final = 1_000
"""Smaller totals are counted each time: a user who has made a job and looks at a short list finds it counted."""
SECONDS_REMEMBERED: Final = 3.0
_COUNTING_SHARE: Final = 0.1
"""A total that takes long to count is remembered longer, so that no list keeps the database busy for more than this."""
_MOST: Final = 256
"""Totals kept; the oldest make way."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    total: int
    until: float


class Totals:
    """What was counted, by what was asked for. One per process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remembered: dict[bytes, _Remembered] = {}

    async def total(self, asked: bytes, count: Callable[[], Awaitable[int]]) -> int:
        """As remembered, else as `count` tells."""
        began = self._clock.monotonic()
        known = self._remembered.get(asked)
        if known is not None and began < known.until:
            return known.total
        total = await count()
        if total >= LEAST_REMEMBERED:
            ended = self._clock.monotonic()
            self._remember(
                asked, _Remembered(total, ended + max(SECONDS_REMEMBERED, (ended - began) / _COUNTING_SHARE))
            )
        return total

    def _remember(self, asked: bytes, what: _Remembered) -> None:
        self._remembered.pop(asked, None)
        self._remembered[asked] = what
        if len(self._remembered) > _MOST:
            del self._remembered[next(iter(self._remembered))]

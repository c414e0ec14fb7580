"""Finding the first few entries of an index range without reading all of it.

Some servers (the embedded one among them) answer `find(range).limit(n)` at the cost of the whole range, and a
range with one bound at the cost of the whole collection. So we ask for narrow slices, bounded on both sides, and
remember where the last one found something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

__all__ = ["EPOCH", "RangeSearch"]

T = TypeVar("T")

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than everything: the low end of a range that has none, since some servers want both."""
_LAG: Final = timedelta(seconds=10)
"""A write may land a little after the time that it carries: never call younger times searched."""
_RECENT: Final = timedelta(days=30)
_NARROWEST: Final = timedelta(milliseconds=20)
_FULL_EVERY: Final = timedelta(seconds=60)


class RangeSearch(Generic[T]):
    """One range that is searched again and again, from its low end."""

    def __init__(self, time_of: Callable[[T], datetime]) -> None:
        self._time_of = time_of
        self._low = EPOCH
        """Just below what the last search found first."""
        self._floor = EPOCH
        """Below it nothing is left, unless a write has landed very late."""
        self._width: timedelta | None = None
        self._full_at = EPOCH

    async def first(
        self, fetch: Callable[[datetime, datetime], Awaitable[list[T]]], until: datetime, want: int
    ) -> list[T]:
        """About `want` entries, or all there are, in the order of time. `fetch(after, up_to)` reads one slice."""
        found = sorted(await self._late(fetch, until), key=self._time_of)
        # The first time there is one slice for all that is old, where nothing is nearly always, and one for the rest.
        low, width, first = self._low, self._width or max(until - EPOCH - _RECENT, _NARROWEST), None
        while low < until and len(found) < want:
            high = min(low + width, until)
            slice_ = sorted(await fetch(low, high), key=self._time_of)
            found += slice_
            if slice_:
                first = first or slice_[0]
                width = self._fitting(slice_, width, want)
            else:
                width *= 4
            low = high
        if first is not None:
            self._low = self._time_of(first) - timedelta(milliseconds=1)
        elif low >= until:
            self._low = until - _LAG
        self._floor = min(self._low, until - _LAG)
        self._width = max(min(width, timedelta(days=3650)), _NARROWEST)
        return found[:want]

    async def _late(self, fetch: Callable[[datetime, datetime], Awaitable[list[T]]], until: datetime) -> list[T]:
        """What was written below the low end since the last search: one slice, and an empty one nearly always."""
        floor = self._floor
        if until >= self._full_at:
            floor, self._full_at = EPOCH, until + _FULL_EVERY
        return await fetch(floor, self._low) if floor < self._low else []

    def _fitting(self, slice_: list[T], width: timedelta, want: int) -> timedelta:
        """The width that would have held about twice what was wanted."""
        span = self._time_of(slice_[-1]) - self._time_of(slice_[0])
        return max(min(width * 2, span * (2 * want / len(slice_))), _NARROWEST)

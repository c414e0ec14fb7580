"""How the permits of a limit are given away, so that all workers together never use more of them than it allows.

Each second of the clock of the database's server is a window with a fixed number of permits, at moments that are spread
evenly over it. For a limit of less than one permit a second, a window has so many seconds that one permit is right, and
begins with the second in which it is asked for. What has been given away is a document, which workers change by
compare-and-set; a permit that nobody has taken when its moment has passed is gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["GUARD_SECONDS", "LOWEST_HOLDS_SECONDS", "PermitWindow", "Reserved", "reserve", "window_of"]

GUARD_SECONDS: Final = 0.1
"""At either end of a second there are no permits: as far as a worker's idea of the server's time may be off."""
LOWEST_HOLDS_SECONDS: Final = 60
"""For how long a lower limit that was asked for under the same name holds for those who ask for a higher one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitWindow:
    """What was given away last of the permits with one name. Times are seconds since 1970 on the server's clock."""

    name: str
    start: int
    """When the window begins."""
    seconds: int
    """How long the window is."""
    taken: int
    """The permits given away or passed, counted from the start of the window."""
    per_second: float
    """The lowest limit that was asked for lately. It holds for all."""
    holds_until: int
    """From then on, a higher limit may take its place."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Reserved:
    """`window` is what to write, if it differs from what was read; then the permits are the worker's."""

    window: PermitWindow
    moments: tuple[float, ...]
    """When each permit may be used from, on the server's clock. Empty: nothing is left for now."""
    until: float
    """The end of the second until which they may be used; or, if nothing is left, when to ask again."""


def window_of(per_second: float) -> tuple[int, int]:
    """How many seconds a window has, and how many permits. Together they never allow more than `per_second`."""
    return (1, math.floor(per_second)) if per_second >= 1 else (math.ceil(1 / per_second), 1)


def reserve(stored: PermitWindow | None, name: str, per_second: float, now: float, want: int) -> Reserved:
    """Take up to `want` permits of the window that goes on, or else of the one that follows it.

    `stored`: what was given away last, None if nothing ever was. `now`: the server's time, in seconds since 1970.
    """
    lowest, holds_until = per_second, int(now) + LOWEST_HOLDS_SECONDS
    if stored and stored.per_second < per_second and now < stored.holds_until:
        lowest, holds_until = stored.per_second, stored.holds_until
    seconds, size = window_of(lowest)
    current, version = int(now), stored.version + 1 if stored else 0
    if stored and stored.start > current + 2 * max(seconds, stored.seconds):
        stored = None  # somebody has set the server's clock back
    ends = stored.start + stored.seconds if stored else current
    earliest = current if seconds == 1 else max(current, ends)
    for start in range(earliest, min(earliest + 1, current + seconds) + 1):
        same = stored is not None and (stored.start, stored.seconds) == (start, seconds)
        if not same and ends > start:
            continue  # a later window is being given away already, or one of another length, which ends first
        first = max(stored.taken if stored and same else 0, _passed(start, size, now))
        count = min(want, size - first)
        if count > 0:
            window = PermitWindow(
                name=name,
                start=start,
                seconds=seconds,
                taken=first + count,
                per_second=lowest,
                holds_until=holds_until,
                version=version,
            )
            moments = tuple(_moment(start, size, number) for number in range(first, first + count))
            return Reserved(window, moments, start + 1 - GUARD_SECONDS)
    assert stored is not None  # a window of which nothing was taken would have had a permit
    if lowest < stored.per_second:  # has to be known, or who asks for more would leave nothing
        stored = replace(stored, per_second=lowest, holds_until=holds_until, version=version)
    return Reserved(stored, (), float(max(current + 1, ends - seconds)))


def _moment(start: int, size: int, number: int) -> float:
    return start + GUARD_SECONDS + number * _spacing(size)


def _passed(start: int, size: int, now: float) -> int:
    """How many permits of the window have had their moment."""
    return max(0, min(size, math.ceil((now - start - GUARD_SECONDS) / _spacing(size))))


def _spacing(size: int) -> float:
    return (1 - 2 * GUARD_SECONDS) / size

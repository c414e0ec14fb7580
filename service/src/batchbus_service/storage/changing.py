"""The loop around a compare-and-set: read, decide, write, and again if somebody was faster.

Two loops are others. `Transitions.change` looks, between two tries, whether an earlier write of its own has arrived whose
answer was lost. `Placeholders.keep` inserts first, and what it finds instead may be a placeholder, a job, or gone again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["changed"]

T = TypeVar("T")


async def changed(
    read: Callable[[], Awaitable[T]],
    decide: Callable[[T], T],
    write: Callable[[T, T], Awaitable[bool]],
    *,
    known: T | None = None,
) -> T:
    """What `decide` made of the newest version, once that is written.

    `write` is given the version that was read and the new one, and returns False if the stored one has moved on.
    `known`: a version that was read already, for the first try. What the three raise passes through.
    """
    while True:
        old = known if known is not None else await read()
        new = decide(old)
        if await write(old, new):
            return new
        known = None

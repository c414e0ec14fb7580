"""The one way in which the parts of a process begin and end."""

from __future__ import annotations

from typing import Self

__all__ = ["Lifetime"]


class Lifetime:
    """A part of the process that works within its `async with`, once.

    `start` returns when the part works. If it raises, the part does not work, and `close` is not called.
    `close` returns when nothing of the part goes on any more. It waits for what must not be lost, within limits that
    the part was given when it was made, and raises nothing.
    """

    async def start(self) -> None:
        """For parts that have nothing to begin."""

    async def close(self) -> None:
        """For parts that have nothing to end."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

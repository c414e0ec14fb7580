"""Pages of a file of lines, without reading more of it than the page.

A file is read through once, as a stream, to count its lines and to note where some of them begin. That is remembered,
since no file in the store is changed once it is there.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from batchbus_strategies import Files

__all__ = ["LinePage", "LinePages"]

_LINES_BETWEEN: Final = 256 * 1024
"""Bytes: what is read in vain before a page, at most, a line's length aside."""
_REMEMBERED: Final = 256
"""Files."""
_PAGE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinePage:
    """Some consecutive lines of a file, without their ends."""

    lines: list[bytes]
    count: int
    """How many lines the file has."""


@dataclass(frozen=True, slots=True)
class _LineOffsets:
    """Where some lines begin: the `lines[n]`-th, counted from 0, at byte `offsets[n]`."""

    lines: list[int]
    offsets: list[int]
    count: int


class LinePages:
    """One per process."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: OrderedDict[str, asyncio.Task[_LineOffsets]] = OrderedDict()

    async def page(self, key: str, *, offset: int, limit: int) -> LinePage:
        """Up to `limit` lines from the `offset`-th on, counted from 0.

        Fewer if they would have more than 4 MiB, but at least one; or if the file ends. Raises `FileMissing`.
        """
        index = await self._offsets_of(key)
        if offset >= index.count:
            return LinePage([], index.count)
        nearest = bisect_right(index.lines, offset) - 1
        skip = offset - index.lines[nearest]
        lines: list[bytes] = []
        size = 0
        async for some in self._lines(key, index.offsets[nearest]):
            for line in some[skip:]:
                size += len(line)
                if lines and (len(lines) == limit or size > _PAGE_BYTES):
                    return LinePage(lines, index.count)
                lines.append(line)
            skip = max(0, skip - len(some))
        return LinePage(lines, index.count)

    async def _lines(self, key: str, start: int) -> AsyncIterator[list[bytes]]:
        """The lines from byte `start` on, as they come."""
        rest = b""
        async for piece in self._files.read(key, start=start):
            *complete, rest = (rest + piece).split(b"\n")
            yield complete
        if rest:
            yield [rest]

    async def _offsets_of(self, key: str) -> _LineOffsets:
        """All who ask for a file that is not known yet wait for the same reading of it."""
        task = self._known.get(key)
        if task is None:
            task = self._known[key] = asyncio.create_task(self._read_through(key), name=f"count the lines of {key}")
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        try:
            return await asyncio.shield(task)
        except Exception:
            self._known.pop(key, None)
            raise

    async def _read_through(self, key: str) -> _LineOffsets:
        lines, offsets, count, read, ends_open = [0], [0], 0, 0, False
        async for piece in self._files.read(key):
            count += piece.count(b"\n")
            last = piece.rfind(b"\n")
            if last >= 0 and read + last + 1 - offsets[-1] >= _LINES_BETWEEN:
                lines.append(count)
                offsets.append(read + last + 1)
            read += len(piece)
            ends_open = last != len(piece) - 1
        return _LineOffsets(lines, offsets, count + ends_open)

"""Pages of a file of lines, without reading more of it than the page.

A file is read through once, as a stream, to count its lines and to note where some of them begin. That is remembered,
since no file in the store is changed once it is there. The same goes for the lines that a filter lets through.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from batchbus_strategies import Files

__all__ = ["LineFilter", "LinePage", "LinePages", "blocks"]

_LINES_BETWEEN: Final = 256 * 1024
"""Bytes: what is read in vain before a page, at most, a line's length aside."""
_REMEMBERED: Final = 256
"""Files."""
_PAGE_BYTES: Final = 4 * 1024 * 1024
_BLOCK_BYTES: Final = 512 * 1024
"""What is looked at in a thread at a time: some milliseconds."""
_SCANS: Final = 2
"""Files that are read through for a filter at the same time; more would only slow each other down."""


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines are wanted. Two of the same name let the same lines through."""

    name: str
    lets_through: Callable[[bytes], bool]
    """Called in a thread."""


@dataclass(frozen=True, slots=True)
class LinePage:
    """Some consecutive lines of a file, without their ends."""

    lines: list[bytes]
    count: int
    """How many lines the file has, or the filter lets through."""


@dataclass(frozen=True, slots=True)
class _LineOffsets:
    """Where some of the wanted lines begin: the `lines[n]`-th of them, counted from 0, at byte `offsets[n]`."""

    lines: list[int]
    offsets: list[int]
    count: int


class LinePages:
    """One per process."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: OrderedDict[tuple[str, str | None], asyncio.Task[_LineOffsets]] = OrderedDict()
        self._scanning = asyncio.Semaphore(_SCANS)

    async def page(self, key: str, *, offset: int, limit: int, only: LineFilter | None = None) -> LinePage:
        """Up to `limit` lines from the `offset`-th on, counted from 0; of those that the filter lets through, if there is one.

        Fewer if they would have more than 4 MiB, but at least one; or if there are no more. Raises `FileMissing`.
        """
        index = await self._offsets_of(key, only)
        if offset >= index.count:
            return LinePage([], index.count)
        nearest = bisect_right(index.lines, offset) - 1
        skip = offset - index.lines[nearest]
        found: list[bytes] = []
        size = 0
        async with aclosing(self._wanted(key, index, nearest, only)) as wanted:
            async for some in wanted:
                for line in some[skip:]:
                    size += len(line)
                    if found and (len(found) == limit or size > _PAGE_BYTES):
                        return LinePage(found, index.count)
                    found.append(line)
                skip = max(0, skip - len(some))
        return LinePage(found, index.count)

    async def _wanted(
        self, key: str, index: _LineOffsets, first: int, only: LineFilter | None
    ) -> AsyncGenerator[list[bytes], None]:
        """The wanted lines from the noted one on, as they come. What lies between two of them is passed over."""
        if only is None:
            async for lines in blocks(self._files, key, start=index.offsets[first], at_least=0):
                yield lines
            return
        ends = [*index.lines[first + 1 :], index.count]
        for begin, offset, end in zip(index.lines[first:], index.offsets[first:], ends, strict=True):
            remaining = end - begin
            async with aclosing(blocks(self._files, key, start=offset, at_least=0)) as reading:
                async for lines in reading:
                    found = (await asyncio.to_thread(_let_through, lines, only))[:remaining]
                    remaining -= len(found)
                    yield [lines[place] for place in found]
                    if remaining == 0:
                        break

    async def _offsets_of(self, key: str, only: LineFilter | None) -> _LineOffsets:
        """All who ask for a file that is not known yet wait for the same reading of it."""
        name = (key, only.name if only else None)
        task = self._known.get(name)
        if task is None:
            reading = self._read_through(key) if only is None else self._look_through(key, only)
            task = self._known[name] = asyncio.create_task(reading, name=f"count the lines of {key}")
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        try:
            return await asyncio.shield(task)
        except Exception:
            self._known.pop(name, None)
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

    async def _look_through(self, key: str, only: LineFilter) -> _LineOffsets:
        """A wanted line is noted if the one that was noted before lies far behind: nothing long is read in vain then."""
        numbers, offsets, count, read = list[int](), list[int](), 0, 0
        async with self._scanning:
            async for lines in blocks(self._files, key):
                wanted = set(await asyncio.to_thread(_let_through, lines, only))
                for place, line in enumerate(lines):
                    if place in wanted:
                        if not offsets or read - offsets[-1] >= _LINES_BETWEEN:
                            numbers.append(count)
                            offsets.append(read)
                        count += 1
                    read += len(line) + 1
        return _LineOffsets(numbers, offsets, count)


async def blocks(
    files: Files, key: str, *, start: int = 0, at_least: int = _BLOCK_BYTES
) -> AsyncGenerator[list[bytes], None]:
    """The lines of a file from byte `start` on, without their ends, some at a time. Raises `FileMissing`.

    `at_least`: bytes that are read before the next lines are given on.
    """
    parts: list[bytes] = []
    size = 0
    async for piece in files.read(key, start=start):
        parts.append(piece)
        size += len(piece)
        if size >= at_least and b"\n" in piece:
            *lines, rest = b"".join(parts).split(b"\n")
            yield lines
            parts, size = [rest], len(rest)
    *lines, rest = b"".join(parts).split(b"\n")
    if lines or rest:
        yield [*lines, rest] if rest else lines


def _let_through(lines: Sequence[bytes], only: LineFilter) -> list[int]:
    """The places of those that are wanted."""
    return [place for place, line in enumerate(lines) if only.lets_through(line)]

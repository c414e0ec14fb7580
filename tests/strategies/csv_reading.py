"""Reading CSV as the tests of it do: a file in pieces, its rows, or why it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from batchbus_strategies.tables import (
    CsvReader,
    CsvRow,
    NotATable,
    TableError,
)

__all__ = ["chunked", "read", "refusal"]


async def chunked(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for offset in range(0, len(content), size):
        yield content[offset : offset + size]


async def read(
    content: bytes, size: int = 64 * 1024, *, encoding: str | None = None, delimiter: str | None = None
) -> tuple[CsvReader, list[CsvRow]]:
    reader = await CsvReader.open(chunked(content, size), known={"a", "Name"}, encoding=encoding, delimiter=delimiter)
    return reader, [row async for batch in reader.batches() for row in batch]


async def refusal(content: bytes, size: int = 64 * 1024, *, encoding: str | None = None) -> NotATable | TableError:
    try:
        await read(content, size, encoding=encoding)
    except (NotATable, TableError) as error:
        return error
    pytest.fail("the file was read")

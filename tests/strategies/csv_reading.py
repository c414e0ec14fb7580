"""Reading CSV as the tests of it do: a file in pieces, its rows, or why it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from batchbus_strategies.tables import (
    CsvReader,
    NotATable,
    Row,
    TableError,
)

__all__ = ["chunked", "read", "refusal"]


async def chunked(content: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for offset in range(0, len(content), size):
        yield content[offset : offset + size]


async def read(content: bytes, size: int = 64 * 1024, **options: str) -> tuple[CsvReader, list[Row]]:
    reader = await CsvReader.open(chunked(content, size), known={"a", "Name"}, **options)
    return reader, [row async for batch in reader.batches() for row in batch]


async def refusal(content: bytes, size: int = 64 * 1024, **options: str) -> NotATable | TableError:
    try:
        await read(content, size, **options)
    except (NotATable, TableError) as error:
        return error
    pytest.fail("the file was read")

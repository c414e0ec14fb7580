"""A connection to the server, byte by byte: for what no client would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.http.conftest import Site
from tests.patience import PATIENCE

__all__ = ["Wire", "connected"]


class Wire:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *lines: str, body: bytes = b"", end: bool = True) -> None:
        text = "\r\n".join(lines) + ("\r\n\r\n" if end else "")
        self._writer.write(text.encode() + body)
        await self._writer.drain()

    async def answer(self) -> str:
        """All that the server sends until it closes the connection."""
        async with asyncio.timeout(PATIENCE):
            return (await self._reader.read()).decode()

    async def head(self) -> str:
        """The head of one answer."""
        async with asyncio.timeout(PATIENCE):
            return (await self._reader.readuntil(b"\r\n\r\n")).decode()


@asynccontextmanager
async def connected(site: Site) -> AsyncIterator[Wire]:
    port = int(site.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()

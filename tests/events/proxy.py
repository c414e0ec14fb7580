"""A TCP proxy between a client and a broker, whose connections a test can cut at once, and which balances their load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from yarl import URL

__all__ = ["Proxy"]


class Proxy:
    """Use it as `async with Proxy.to(url) as proxy`; `proxy.url` is the same address by way of it.

    Of several addresses each connection goes to the next one that accepts it.
    """

    def __init__(self, targets: list[URL]) -> None:
        self._targets = targets
        self._writers: set[asyncio.StreamWriter] = set()
        self._speaks = asyncio.Event()
        self._speaks.set()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, *others: str) -> AsyncIterator[Proxy]:
        proxy = cls([URL(each) for each in (url, *others)])
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.url = str(URL(url).with_port(server.sockets[0].getsockname()[1]))
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()

    def cut(self) -> None:
        """Every connection ends here and now; a new one works."""
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """From now on nothing gets through, and no connection ends: as behind a firewall that has forgotten them."""
        self._speaks.clear()

    def speak(self) -> None:
        """What has come in the meantime gets through."""
        self._speaks.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await self._connect()
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises `OSError` if none of them accepts the connection."""
        for _ in self._targets:
            target = self._targets[0]
            self._targets.append(self._targets.pop(0))
            with suppress(OSError):
                return await asyncio.open_connection(target.host, target.port)
        raise ConnectionRefusedError

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    await self._speaks.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

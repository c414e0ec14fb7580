"""Readers of event streams on bare sockets: many of them cost little, and they can be slower than any client allows."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from tests.http.conftest import Person

__all__ = ["RawReader"]

_STORED: Final = re.compile(rb"^id: (\d+)\nevent: (\S+)$", re.MULTILINE)


class RawReader:
    """One connection at a time to one stream. It comes back where it was."""

    def __init__(self, person: Person, path: str) -> None:
        self._person = person
        self._path = path
        self._url = urlsplit(str(person.http.base_url))
        self._writer: asyncio.StreamWriter | None = None
        self.text = bytearray()
        """Everything it has read, over all its connections."""
        self._more = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def stored(self) -> list[tuple[int, str]]:
        """Sequence and name of every event but progress."""
        return [(int(sequence), name.decode()) for sequence, name in _STORED.findall(self.text)]

    async def connect(self, *, receive_buffer: int | None = None) -> None:
        """Open the stream, and read the beginning of the answer. `receive_buffer`: bytes that the system may hold."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self._url.hostname, self._url.port))
        reader, self._writer = await asyncio.open_connection(sock=sock, limit=2**12)
        last = f"last-event-id: {self.stored[-1][0]}\r\n" if self.stored else ""
        head = f"GET {self._path} HTTP/1.1\r\nhost: test\r\nx-medusa-access-token: {self._person.token}\r\n{last}\r\n"
        self._writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        self._over = answer.startswith(b"HTTP/1.1 204 ")
        assert self._over or answer.startswith(b"HTTP/1.1 200 "), answer
        self._reader = reader

    def start(self) -> None:
        """Read from now on, in the background."""
        self._reading = asyncio.create_task(self._read())

    async def until(self, reached: Callable[[bytearray], bool]) -> None:
        """Until what it has read is as wanted."""
        while not reached(self.text):
            self._more.clear()
            await self._more.wait()

    async def ended(self) -> None:
        """Until the server has ended the stream in good order."""
        assert self._reading is not None
        await self._reading
        assert self._over or self.text.endswith(b"0\r\n\r\n"), self.text[-200:]

    async def reset(self) -> None:
        """Break the connection off."""
        assert self._writer is not None
        if self._reading:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        self._writer.transport.abort()

    async def _read(self) -> None:
        while not self._over and (piece := await self._reader.read(2**16)):
            self.text += piece
            self._more.set()
            if self.text.endswith(b"\r\n0\r\n\r\n"):
                return

"""A proxy in front of a MongoDB server, which refuses the commands that a test names, as a server does."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import bson
from anyio.from_thread import start_blocking_portal
from yarl import URL

__all__ = ["CODES", "RefusingServer"]

CODES: Final = {
    1: "InternalError",
    13: "Unauthorized",
    8000: "AtlasError",
    20: "IllegalOperation",
    14031: "OutOfDiskSpace",
}
"""Codes of errors, and the names that servers give them."""

_HEAD: Final = struct.Struct("<iiii")
"""Of each message: its length, its id, the id that it answers, and what kind it is of."""
_OP_MSG: Final = 2013
"""https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#op_msg"""
_FLAGS: Final = struct.Struct("<iB")
"""Of an OP_MSG: its flags, and the kind of its first section. Drivers send the command first, as kind 0."""


class RefusingServer:
    """Use it as `with RefusingServer.to(url) as server`; `server.url` is the same server by way of the proxy."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.code = 13
        """One of `CODES`."""
        self.refused = threading.Event()
        """Set once a command has been refused."""
        self._refuses: Callable[[Mapping[str, Any]], bool] = lambda _: False

    @classmethod
    @contextmanager
    def to(cls, url: str) -> Iterator[RefusingServer]:
        # On a thread of its own: a driver that closes waits for an answer, and holds up the loop that it is used in.
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(cls._to(url)) as proxy:
            yield proxy

    @classmethod
    @asynccontextmanager
    async def _to(cls, url: str) -> AsyncIterator[RefusingServer]:
        proxy = cls(URL(url))
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy.url = str(URL(url).with_port(port).update_query(directConnection="true"))
        try:
            yield proxy
        finally:
            server.close()
            for writer in proxy._writers:
                writer.transport.abort()

    def refuse_collections(self, *names: str) -> None:
        """Every command about one of these."""
        self._refuses = lambda command: next(iter(command.values())) in names

    def refuse_writes(self) -> None:
        self._refuses = lambda command: next(iter(command)) in ("insert", "update", "delete", "createIndexes")

    def refuse_nothing(self) -> None:
        self._refuses = lambda _: False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port)
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._carry_answers(far_reader, writer), self._carry(reader, far_writer, writer))
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, near: asyncio.StreamWriter) -> None:
        """Messages to the server, but for those that are refused: a driver waits for each answer before it goes on."""
        try:
            while True:
                head = await reader.readexactly(_HEAD.size)
                length, message_id, _, kind = _HEAD.unpack(head)
                body = await reader.readexactly(length - _HEAD.size)
                command = bson.decode(body[_FLAGS.size :][: _size(body)]) if kind == _OP_MSG else {}
                if command and self._refuses(command):
                    near.write(self._refusal(message_id))
                    self.refused.set()
                else:
                    far.write(head + body)
        finally:
            far.transport.abort()

    async def _carry_answers(self, far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        while data := await far.read(65_536):
            near.write(data)

    def _refusal(self, message_id: int) -> bytes:
        name = CODES[self.code]
        answer = bson.encode({"ok": 0.0, "errmsg": f"refused: {name}", "code": self.code, "codeName": name})
        length = _HEAD.size + _FLAGS.size + len(answer)
        return _HEAD.pack(length, 0, message_id, _OP_MSG) + _FLAGS.pack(0, 0) + answer


def _size(body: bytes) -> int:
    """Of the command: a document begins with how long it is."""
    size: int = struct.unpack_from("<i", body, _FLAGS.size)[0]
    return size

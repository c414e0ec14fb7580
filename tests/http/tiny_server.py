"""An HTTP server of a few lines, on a loopback port, for what stands on the other side in a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Request", "Response", "serving"]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    content: Mapping[str, Any]


@asynccontextmanager
async def serving(answer: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[str]:
    """Yields its address. Each connection is for one request."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        response = await answer(Request(head[0].split()[1], headers, body))
        content = json.dumps(response.content).encode()
        lines = (
            f"HTTP/1.1 {response.status} Answer",
            "content-type: application/json",
            f"content-length: {len(content)}",
            "connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

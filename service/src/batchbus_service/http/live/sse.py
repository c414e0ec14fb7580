"""Server-sent events on the wire: what an event looks like, and the response that takes them to one reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from batchbus_service.http.server.connections import BREAK_OFF

__all__ = ["EventStream", "comment", "frame", "id_alone", "retry_hint", "way_to_break_off"]

_SEP: Final = "\n"


def frame(event: str, data: str, id: str | None = None) -> bytes:
    """An event."""
    return ServerSentEvent(data, event=event, id=id, sep=_SEP).encode()


def id_alone(id: str) -> bytes:
    """No event, but a place to come back to for a client that has had none yet."""
    return f"id: {id}\n\n".encode()


def comment(text: str) -> bytes:
    """A line that clients pass over. Nor is it an event for those that take every blank line for the end of one."""
    return f": {text}\n".encode()


def retry_hint(seconds: float) -> bytes:
    """A line that asks the client to wait before it comes back."""
    return f"retry: {round(seconds * 1000)}\n".encode()


def way_to_break_off(request: Request) -> Callable[[], None]:
    """Ends the request's connection at once. Does nothing on a server that has no such extension."""
    extension: Callable[[], None] | None = request.scope.get("extensions", {}).get(BREAK_OFF)
    return extension or (lambda: None)


class EventStream(EventSourceResponse):
    """Frames and lines, until they end, the client goes, or it takes nothing for `stalled` seconds."""

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        *,
        stalled: float,
        break_off: Callable[[], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_end` is called when the stream has ended, in whatever way."""
        super().__init__(frames, ping=0)
        self._on_end = on_end
        self._stalled = stalled
        self._break_off = break_off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._stalled):
                    await send(message)
            except TimeoutError:
                raise _Stalled from None

        try:
            await super().__call__(scope, receive, in_time)
        except _Stalled:
            structlog.get_logger("batchbus").info("stream_broken_off", path=scope["path"], reason="the reader stalls")
            self._break_off()
        finally:
            self._on_end()


class _Stalled(Exception):
    """The client takes nothing."""

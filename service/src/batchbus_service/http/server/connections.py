"""What one connection may cost: a client that sends too slowly or too much gets an error, and its connection is closed.

uvicorn alone waits for the rest of a request for ever, so a client with many half-sent requests keeps everyone else
out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchbus_service.http.server.errors import ApiError, ApiJson
from batchbus_service.http.server.shares import Crowd

__all__ = ["BREAK_OFF", "DEFAULT_TIMEOUTS", "HEAD_BYTES", "HttpTimeouts", "SlowBodies", "patient"]

BREAK_OFF: Final = "batchbus.break_off"
"""The ASGI extension with which a response ends its connection, whatever the client still has to take."""
HEAD_BYTES: Final = 64 * 1024
"""The most that the head of a request may have; one that comes at once may have a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTimeouts:
    """How long the server waits for a client, in seconds. No settings: only tests have less."""

    head: float = 20.0
    """For the whole head of a request, from the connection or the request before on."""
    crowded: float = 2.0
    """The same, for a connection beyond those that there may be."""
    body: float = 20.0
    """For the next piece of a body."""
    bytes_per_second: float = 500.0
    """The least at which a body has to come; more of it buys time, up to `body` seconds."""
    parting: float = 10.0
    """For a client that has its answer, and still sends."""
    stalled: float = 30.0
    """For the reader of a stream to take what it is sent."""
    quiet: float = 10.0
    """Without an event in a stream, until a comment says that it is alive, and the history is read again."""
    trust: float = 60.0
    """While a stream goes on, until it is looked at again whether its reader may still read it."""
    come_back: float = 2.0
    """What the reader of a stream that ended is asked to wait before it comes back."""


DEFAULT_TIMEOUTS: Final = HttpTimeouts()


def patient(timeouts: HttpTimeouts, crowd: Crowd | None = None) -> type[H11Protocol]:
    """The protocol of a connection, for uvicorn. `crowd`: what the connections of the server are counted in."""

    class Patient(_Connection):
        pass

    Patient.timeouts = timeouts
    Patient.crowd = crowd or Crowd()
    return Patient


class _Connection(H11Protocol):
    timeouts: HttpTimeouts
    crowd: Crowd
    _address: str | None = None
    _head_seconds: float
    _timer: asyncio.TimerHandle | None = None
    _parted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.app = _that_can_break_off(self.app, transport.abort)
        self._address = self.client[0] if self.client else ""
        self._head_seconds = self.timeouts.head
        if not self.crowd.enter(self._address):
            self.app = _for_health_alone(self.app)
            self._head_seconds = self.timeouts.crowded
        if self.crowd.full:
            transport.abort()
        else:
            self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence()
        if self._address is not None:
            self.crowd.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._parted:
            super().data_received(data)
            self._set_timer()

    def on_response_complete(self) -> None:
        self._silence()
        super().on_response_complete()
        self._set_timer()

    def send_400_response(self, msg: str) -> None:
        """How uvicorn answers what is no request; a head that is too large is answered with 431."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        self._refuse(HTTPStatus(status), msg)

    def _set_timer(self) -> None:
        """Start the timer if the head of a request is to come, or the rest of a body that is not read any more."""
        if self.transport.is_closing() or self._parted:
            return
        if self.conn.our_state is h11.IDLE:
            self._timer = self._timer or self.loop.call_later(self._head_seconds, self._no_head)
        elif self.conn.our_state is h11.DONE:
            self._timer = self._timer or self.loop.call_later(self.timeouts.parting, self.transport.close)
        else:
            self._silence()

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _no_head(self) -> None:
        if any(self.conn.trailing_data):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request came too slowly.")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer and part: nothing more is read, and the connection stays only until the client has the answer."""
        self._silence()
        if self.conn.our_state is not h11.IDLE:
            self.transport.close()  # the work on the request learns that the client is gone
            return
        body = json.dumps({"type": "invalid_data", "message": message}).encode()
        headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        # Closed while the client still sends, the answer would be lost: its system drops what it has not read yet.
        self._parted = True
        self._timer = self.loop.call_later(self.timeouts.parting, self.transport.close)


def _that_can_break_off(app: ASGIApp, abort: Callable[[], None]) -> ASGIApp:
    """Lets a response end its connection, since a client that takes nothing keeps it open for ever."""

    async def that_can_break_off(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {**scope.get("extensions", {}), BREAK_OFF: abort}}, receive, send)

    return that_can_break_off


def _for_health_alone(app: ASGIApp) -> ASGIApp:
    """For a connection beyond those that there may be: a supervisor still learns that the process lives."""

    async def for_health_alone(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/health"):
            body = {"type": "unavailable", "message": "Too many connections at the same moment"}
            headers = {"connection": "close", "retry-after": "5"}
            await ApiJson(body, HTTPStatus.SERVICE_UNAVAILABLE, headers)(scope, receive, send)
            return

        async def last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, last)

    return for_health_alone


class SlowBodies:
    """ASGI middleware. Reading a body that comes too slowly raises `ApiError`."""

    def __init__(self, app: ASGIApp, timeouts: HttpTimeouts) -> None:
        self._app = app
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        remaining, complete, answered = self._timeouts.body, False, False
        clock = asyncio.get_running_loop().time

        async def in_time() -> Message:
            nonlocal remaining, complete
            if complete:  # what comes now is that the client goes away, whenever that is
                return await receive()
            began = clock()
            try:
                async with asyncio.timeout(remaining):
                    message = await receive()
            except TimeoutError:
                if answered:
                    return {"type": "http.disconnect"}
                raise ApiError(408, "invalid_data", "The body came too slowly") from None
            bought = len(message.get("body", b"")) / self._timeouts.bytes_per_second
            remaining = min(remaining - (clock() - began) + bought, self._timeouts.body)
            complete = not message.get("more_body", False)
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._app(scope, in_time, noted)

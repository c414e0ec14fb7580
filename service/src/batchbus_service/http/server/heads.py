"""HEAD: what GET would answer, without the body."""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Heads"]


class Heads:
    """ASGI middleware. A HEAD is answered by the route for GET, which is stopped as soon as it has said its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["method"] = "GET"
        with anyio.CancelScope() as answering:

            async def headers_alone(message: Message) -> None:
                if message["type"] == "http.response.start" and not answering.cancel_called:
                    await send(message)
                    await send({"type": "http.response.body", "body": b""})
                    answering.cancel()  # a body may take long, and an event stream does not end

            await self._app(scope, receive, headers_alone)

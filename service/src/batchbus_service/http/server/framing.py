"""Requests whose end could be read in two ways are refused: a proxy in front might take another place for it."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from batchbus_service.http.server.errors import ApiJson

__all__ = ["Framing"]

_MESSAGE: Final = "A request has Content-Length or Transfer-Encoding, and not both"


class Framing:
    """ASGI middleware. Answers 400 to a request with both, and closes the connection (RFC 9112, sections 6.1 and 11.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if "transfer-encoding" in headers and "content-length" in headers:
                body = {"type": "invalid_data", "message": _MESSAGE}
                await ApiJson(body, 400, headers={"connection": "close"})(scope, receive, send)
                return
        await self._app(scope, receive, send)

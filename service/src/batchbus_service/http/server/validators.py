"""ETags: a client that already has an answer gets a 304 instead of a second copy."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Validators", "has_it"]

_OF_THE_BODY: Final = ("content-length", "content-type")


class Validators:
    """ASGI middleware. JSON that answers a GET has a weak ETag; 304 without a body for one that the client names.

    An answer that brings an ETag of its own, such as a file, goes through as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        start: Message | None = None

        async def tagged(message: Message) -> None:
            """Holds back the start of an answer that is JSON until its body, which comes in one piece, is there."""
            nonlocal start
            if message["type"] == "http.response.start" and _is_json(message):
                start = message
                return
            if message["type"] == "http.response.body" and start is not None:
                headers, body = MutableHeaders(raw=start["headers"]), message["body"]
                headers["etag"] = tag = _tag(body)
                if has_it(asked, tag):
                    start["status"], message = 304, {**message, "body": b""}
                    for name in _OF_THE_BODY:
                        del headers[name]
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, tagged)


def _is_json(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == 200
        and "etag" not in headers
        and headers.get("content-type", "").startswith("application/json")
    )


def _tag(body: bytes) -> str:
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
    return f'W/"{len(body):x}-{digest[:27]}"'


def has_it(asked: Headers, tag: str) -> bool:
    """By weak comparison (RFC 9110, 13.1.2), unless the client asked for a fresh answer."""
    if "no-cache" in asked.get("cache-control", ""):
        return False
    known = [one.strip().removeprefix("W/") for one in asked.get("if-none-match", "").split(",")]
    return "*" in known or tag.removeprefix("W/") in known

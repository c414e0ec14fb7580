"""What is answered to one person stays with that person: no cache keeps it, and no browser takes it for what it is not."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PrivateAnswers"]

_PRIVATE: Final = ("/admin", "/uploads", "/oidc")


class PrivateAnswers:
    """ASGI middleware. Answers below `/admin`, `/uploads` and `/oidc` are not to be stored; of all, the media type holds as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        private = scope["path"].lower().lstrip("/").startswith(tuple(path[1:] for path in _PRIVATE))

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                headers.setdefault("x-content-type-options", "nosniff")
                if private:
                    headers.setdefault("cache-control", "no-store")
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, closed)

"""Paths as Medusa takes them: a slash at the end does not matter, and an encoded slash is a part of a name."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PathForm", "segment"]


class PathForm:
    """ASGI middleware. In the paths that routes see, `/` and `%` inside a name are still encoded; see `segment`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            raw: bytes = scope.get("raw_path") or b""
            if b"%" in raw:
                names = raw.decode("ascii", "replace").split("/")
                path = "/".join(unquote(name).replace("%", "%25").replace("/", "%2F") for name in names)
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


def segment(parameter: str) -> str:
    """A path parameter as the client meant it."""
    return parameter.replace("%2F", "/").replace("%25", "%")

"""Paths as Medusa takes them.

A slash at the end or twice in a row does not matter, nor whether Medusa's own words are in capitals; an encoded slash is
a part of a name.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PathForm", "segment"]


_PATH_WORDS: Final = frozenset(
    {"admin", "auth", "batch-jobs", "cancel", "confirm", "download-url", "health", "protected", "token", "uploads"}
)
"""What Medusa's paths are made of, besides ids."""
_MEDUSAS: Final = ("/admin", "/uploads", "/health")
"""What the paths begin with that are as lenient as Medusa's. A proxy denies others, such as `/metrics`, by one spelling."""


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
            plain = _plain(path)
            if not plain.startswith(_MEDUSAS) and plain.encode() != raw:
                plain = f"/{quote(raw)}"  # which is no route's
            scope = {**scope, "path": plain}
        await self._app(scope, receive, send)


def _plain(path: str) -> str:
    path = path.rstrip("/") or "/"
    if path.lower().startswith("/uploads/"):  # what follows is the key of a file, as it is
        return path[:9].lower() + path[9:]
    names = re.sub(r"(?<=.)/{2,}", "/", path).split("/")
    return "/".join(name.lower() if name.lower() in _PATH_WORDS else name for name in names)


def segment(parameter: str) -> str:
    """A path parameter as the client meant it."""
    return parameter.replace("%2F", "/").replace("%25", "%")

"""Routes: the operator's pages. Files that come with the package, under a policy by which nothing else can run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.validators import has_it

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",  # forms are read by scripts; without them, no password ends up in an address
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",  # text can become neither markup nor code, not even by mistake
    )
)
_HEADERS: Final = {
    "cache-control": "no-cache",  # kept, but asked for again: a new version is seen at once, and as a whole
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",  # without any, `Origin` may be null, and our own changes would be refused
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    etag: str


@router.get("/")
def index(request: Request) -> Response:
    """The one page; its scripts show what follows the `#` in its address."""
    return _answer(request, _assets()["index.html"])


@router.get("/pages/{name}")
def asset(name: str, request: Request) -> Response:
    """A file of the page. What is not among them by its very name is not there."""
    known = _assets().get(name)
    if known is None:
        raise not_found(f"Cannot GET {request.url.path}")
    return _answer(request, known)


def _answer(request: Request, asset: _Asset) -> Response:
    headers = {**_HEADERS, "etag": asset.etag}
    if has_it(request.headers, asset.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@cache
def _assets() -> Mapping[str, _Asset]:
    """Every file, by its name, read once."""
    folder = files("batchbus_service.http.pages").joinpath("static")
    return MappingProxyType({entry.name: _asset(entry.name, entry.read_bytes()) for entry in folder.iterdir()})


def _asset(name: str, content: bytes) -> _Asset:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:18]).decode()
    return _Asset(content, _MEDIA_TYPES[PurePath(name).suffix], f'"{digest}"')

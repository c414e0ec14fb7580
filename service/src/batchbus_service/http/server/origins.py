"""Pages of other origins: none may call the API unless `BATCHBUS_CORS_ORIGINS` names theirs.

A browser adds the session cookie by itself, also to what a page of another origin sends, so a change that comes with
that cookie has to come from a page of ours. The other credentials are added by whoever knows them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.cors import CORSMiddleware

from batchbus_service.http.server.errors import forbidden

__all__ = ["allow_origins", "require_same_origin", "router"]

router = APIRouter(tags=["origins"])

_READING: Final = ("GET", "HEAD", "OPTIONS")


@router.options("/admin", include_in_schema=False)
@router.options("/admin/{path:path}", include_in_schema=False)
async def preflight() -> Response:
    """204 whatever is asked, as from Medusa, and no `access-control` header, without which a browser goes no further."""
    return Response(status_code=204)


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins call the API, with their visitors' sessions."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["content-disposition", "etag", "retry-after"],
        )


def require_same_origin(request: Request, allowed: Collection[str]) -> None:
    """Refuse a change that a page of another origin sends. Raises `ApiError`.

    As browsers tell it: `Sec-Fetch-Site` where they do, else `Origin`. Who sends neither is no browser.
    """
    if request.method in _READING:
        return
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin in allowed or site in ("same-origin", "none"):
        return
    if site is None and (origin is None or origin.partition("://")[2] == request.headers.get("host")):
        return
    raise forbidden("A page of another origin cannot do this with a session: see BATCHBUS_CORS_ORIGINS")

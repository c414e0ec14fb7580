"""Route: what a browser asks before a page of another origin may call the API. No origin may."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

__all__ = ["router"]

router = APIRouter(tags=["origins"])


@router.options("/admin/{path:path}")
async def preflight(path: str) -> Response:
    """204 whatever is asked, as from Medusa, and no `access-control` header, without which a browser goes no further."""
    return Response(status_code=204)

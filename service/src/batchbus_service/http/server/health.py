"""Routes without credentials: whether the process lives, whether it can work, and what its events look like."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from batchbus_events.asyncapi import document
from batchbus_service.engine.readiness import Readiness
from batchbus_service.http.medusa.schemas import Live, Ready
from batchbus_service.http.medusa.wire import Wire
from batchbus_service.http.server.errors import ApiJson
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Probes

__all__ = ["router"]

router = APIRouter(tags=["health"])


def _readiness(request: Request) -> Readiness:
    return cast(Probes, request.app.state.probes).readiness


@router.get("/health", response_class=HTMLResponse)
async def health() -> Response:
    """`OK`, as Medusa answers."""
    return HTMLResponse("OK")


@router.get("/health/live", responses=answers(Live))
async def live() -> Response:
    """The process answers. Restart it if it does not."""
    return ApiJson({"status": "live"})


@router.get("/health/ready", responses=answers(Ready) | answers(Ready, 503))
async def ready(readiness: Annotated[Readiness, Depends(_readiness)]) -> Response:
    """503 while the database or the broker cannot be reached, and which of them; it also names events that wait."""
    needed = await readiness.needed()
    checks: Wire = {**needed, **readiness.advisory()}
    if all(state == "ok" for state in needed.values()):
        return ApiJson({"status": "ready", "checks": checks})
    return ApiJson({"status": "not ready", "checks": checks}, status_code=503)


@router.get("/asyncapi.json")
async def asyncapi() -> Response:
    """Every event on the bus, as an AsyncAPI 3 document."""
    return ApiJson(document())

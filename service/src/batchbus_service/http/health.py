"""Routes without credentials: whether the process lives, whether it can work, and what its events look like."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from pymongo.errors import PyMongoError

from batchbus_events.asyncapi import document
from batchbus_service.http.errors import ApiJson
from batchbus_service.http.state import Api, ApiState
from batchbus_service.http.wire import Wire

__all__ = ["router"]

router = APIRouter(tags=["health"])

_DATABASE_SECONDS: Final = 2.0


@router.get("/health")
async def health() -> Response:
    return HTMLResponse("OK")


@router.get("/health/live")
async def live() -> Response:
    """The process answers. Restart it if it does not."""
    return ApiJson({"status": "live"})


@router.get("/health/ready")
async def ready(api: ApiState) -> Response:
    """503 while the database or the broker cannot be reached, and which of them; events that wait are told as well."""
    needed: Wire = {"database": await _database(api), "broker": _broker(api)}
    checks: Wire = {**needed, "outbox": api.service.ledger.outbox.trouble or "ok"}
    if all(state == "ok" for state in needed.values()):
        return ApiJson({"status": "ready", "checks": checks})
    return ApiJson({"status": "not ready", "checks": checks}, status_code=503)


@router.get("/asyncapi.json")
async def asyncapi() -> Response:
    """Every event on the bus, as an AsyncAPI 3 document."""
    return ApiJson(document())


async def _database(api: Api) -> str:
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            await api.service.database.command("ping")
    except TimeoutError:
        return f"no answer within {_DATABASE_SECONDS:g} seconds"
    except PyMongoError as error:
        return f"cannot be reached: {type(error).__name__}"
    return "ok"


def _broker(api: Api) -> str:
    return "ok" if api.service.bus.connected else "cannot be reached"

"""Metrics of this process for Prometheus: the route, and the measuring of requests."""

from __future__ import annotations

import time
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Probes
from batchbus_service.telemetry.meter import Meter
from batchbus_service.telemetry.prometheus import PrometheusMeter

__all__ = ["MeteredRequests", "router"]

router = APIRouter(tags=["health"])


def _meter(request: Request) -> PrometheusMeter:
    return cast(Probes, request.app.state.probes).meter


@router.get("/metrics", response_class=Response, responses=answers(media="text/plain"))
async def metrics(
    meter: Annotated[PrometheusMeter, Depends(_meter)], accept: Annotated[str, Header()] = ""
) -> Response:
    """In Prometheus' text format, or as OpenMetrics for who asks for that. Open, as health is."""
    content, content_type = meter.exposition(accept)
    return Response(content, headers={"content-type": content_type, "cache-control": "no-store"})


class MeteredRequests:
    """ASGI middleware. Counts every answer under its route's template, and how long it took to begin."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, started, begun = scope["method"], time.perf_counter(), False

        def count(status: int) -> None:
            self._meter.answered(method, _template(scope), status, time.perf_counter() - started)

        async def counted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            if not begun:
                count(500)  # what the server makes of it, further out
            raise


def _template(scope: Scope) -> str:
    """The path with the names of its parameters; never what a client has put in their place."""
    return str(getattr(scope.get("route"), "path", "none"))

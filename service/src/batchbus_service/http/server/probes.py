"""What watches over a process: health and metrics, beside the API, or alone where there is none."""

from __future__ import annotations

from fastapi import FastAPI, Request

from batchbus_service.http.server import errors, health, metrics
from batchbus_service.http.server.paths import PathForm
from batchbus_service.http.server.state import Probes

__all__ = ["add_probes", "connect_probes", "create_probe_app"]


def add_probes(app: FastAPI) -> None:
    """Add the routes for health and metrics. They can answer once `connect_probes` has named them."""
    app.include_router(health.router)
    app.include_router(metrics.router)


def connect_probes(app: FastAPI, probes: Probes) -> None:
    """Say whose health and whose metrics the routes tell."""
    app.state.probes = probes


def create_probe_app(probes: Probes) -> FastAPI:
    """For a worker: these routes and no others."""
    app = FastAPI(title="batchbus", openapi_url=None, redirect_slashes=False)
    add_probes(app)
    connect_probes(app, probes)
    errors.install(app, _nobody)
    app.add_middleware(PathForm)
    return app


async def _nobody(_request: Request) -> None:
    raise errors.Unauthorized

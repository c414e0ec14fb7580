"""The application: every route, who may use it, and one form for every error."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI

from batchbus_service.http.medusa import auth, downloads, jobs, uploads
from batchbus_service.http.medusa.access import admit
from batchbus_service.http.operator import (
    audit,
    batch_types,
    error_file,
    event_log,
    history,
    job_files,
    oidc,
    outcome,
    own_account,
    parked,
    plan,
    replays,
    row_errors,
    streams,
    tokens,
    users,
)
from batchbus_service.http.pages import routes as pages
from batchbus_service.http.server import errors, origins
from batchbus_service.http.server.auditing import Audited
from batchbus_service.http.server.connections import SlowBodies
from batchbus_service.http.server.framing import Framing
from batchbus_service.http.server.heads import Heads
from batchbus_service.http.server.metrics import MeteredRequests
from batchbus_service.http.server.openapi import describe, operation_id
from batchbus_service.http.server.paths import PathForm
from batchbus_service.http.server.private import PrivateAnswers
from batchbus_service.http.server.probes import add_probes, connect_probes
from batchbus_service.http.server.state import Api
from batchbus_service.http.server.validators import Validators

__all__ = ["create_app", "routed_app"]

_ROUTES: Final = (
    auth,
    own_account,
    oidc,
    users,
    audit,
    tokens,
    jobs,
    plan,
    outcome,
    error_file,
    row_errors,
    job_files,
    history,
    uploads,
    downloads,
    batch_types,
    event_log,
    streams,
    replays,
    parked,
    origins,
    pages,
)
"""The modules with routes. Each has its `router`."""


def create_app(api: Api) -> FastAPI:
    """The HTTP API of a running service."""
    app = routed_app()
    app.state.api = api
    connect_probes(app, api.probes)
    errors.install(app, admit)
    app.add_middleware(Validators)
    app.add_middleware(Audited, trail=api.audit)
    app.add_middleware(Heads)
    app.add_middleware(MeteredRequests, meter=api.service.meter)
    app.add_middleware(PathForm)
    app.add_middleware(PrivateAnswers)
    app.add_middleware(SlowBodies, timeouts=api.timeouts)
    app.add_middleware(Framing)
    origins.allow_origins(app, api.service.settings.cors_origins)
    return app


def routed_app() -> FastAPI:
    """The API with every route and with the document that describes them, and no service behind it yet."""
    app = FastAPI(
        title="batchbus",
        version=version("batchbus"),
        description="Runs long batch jobs for services that talk over RabbitMQ.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    for routes in _ROUTES:
        app.include_router(routes.router)
    add_probes(app)
    describe(app)
    return app

"""The application: every route, who may use it, and one form for every error."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import structlog
from fastapi import FastAPI

from batchbus_service.access import Users
from batchbus_service.http.live.feeds import LiveFeed
from batchbus_service.http.medusa import auth, downloads, jobs, uploads
from batchbus_service.http.medusa.access import admit
from batchbus_service.http.medusa.file_access import FileAccess
from batchbus_service.http.medusa.keys import Keys
from batchbus_service.http.operator import (
    batch_types,
    history,
    parked,
    past,
    plan,
    replays,
    row_errors,
    streams,
    tokens,
    users,
)
from batchbus_service.http.pages import routes as pages
from batchbus_service.http.server import errors, origins
from batchbus_service.http.server.connections import DEFAULT_TIMEOUTS, HttpTimeouts, SlowBodies
from batchbus_service.http.server.heads import Heads
from batchbus_service.http.server.metrics import MeteredRequests
from batchbus_service.http.server.openapi import describe, operation_id
from batchbus_service.http.server.paths import PathForm
from batchbus_service.http.server.probes import add_probes, connect_probes
from batchbus_service.http.server.state import Api
from batchbus_service.http.server.validators import Validators
from batchbus_service.http.service import Service
from batchbus_service.operations.parked.parked_messages import ParkedMessages
from batchbus_service.storage.line_index import LinePages

__all__ = ["create_app", "routed_app"]

_ROUTES: Final = (
    auth,
    users,
    tokens,
    jobs,
    plan,
    row_errors,
    history,
    uploads,
    downloads,
    batch_types,
    past,
    streams,
    replays,
    parked,
    origins,
    pages,
)
"""The modules with routes. Each has its `router`."""


def create_app(service: Service, *, timeouts: HttpTimeouts = DEFAULT_TIMEOUTS) -> FastAPI:
    """The HTTP API of a running service. Raises `BadSettings` if there is no secret to sign with."""
    app = routed_app()
    log = structlog.get_logger("batchbus")
    stores = service.stores
    app.state.api = Api(
        service=service,
        users=Users(stores.users, stores.tokens, stores.sessions, stores.logins),
        keys=Keys.of(service.settings),
        feed=LiveFeed(service.bus, log),
        file_access=FileAccess(
            service.files, stores.uploads, stores.listings, max_bytes=service.settings.max_upload_bytes
        ),
        timeouts=timeouts,
        plans=LinePages(service.files),
        parked=ParkedMessages(
            service.bus,
            stores.parked,
            service.files,
            service.transitions.clock,
            log,
            background=service.background,
        ),
    )
    connect_probes(app, service)
    errors.install(app, admit)
    service.meter.look_at_parked(lambda: app.state.api.parked.waiting)
    service.meter.look_at_streams(lambda: app.state.api.feed.readers)
    app.add_middleware(Validators)
    app.add_middleware(Heads)
    app.add_middleware(MeteredRequests, meter=service.meter)
    app.add_middleware(PathForm)
    app.add_middleware(SlowBodies, timeouts=timeouts)
    origins.allow_origins(app, service.settings.cors_origins)
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

"""What every route of the API works with, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from batchbus_service.access import Users
from batchbus_service.access.audit import AuditTrail, LimitedLogins
from batchbus_service.access.federated import FederatedUsers
from batchbus_service.access.provider import Provider
from batchbus_service.engine.readiness import Readiness
from batchbus_service.http.live.feeds import LiveFeed
from batchbus_service.http.medusa.file_access import FileAccess
from batchbus_service.http.medusa.keys import Keys
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.shares import Shares
from batchbus_service.operations.parked.parked_messages import ParkedMessages
from batchbus_service.operations.service import Service
from batchbus_service.storage.line_index import LinePages
from batchbus_service.telemetry.prometheus import PrometheusMeter

__all__ = ["Api", "ApiState", "Probes", "api_of"]


@dataclass(frozen=True, slots=True)
class Probes:
    """What watches over a process asks these."""

    readiness: Readiness
    meter: PrometheusMeter


@dataclass(frozen=True, slots=True)
class Api:
    """One per process that answers HTTP requests. `app.api` makes it."""

    service: Service
    """What it is an API to."""
    probes: Probes
    users: Users
    keys: Keys
    feed: LiveFeed
    file_access: FileAccess
    timeouts: HttpTimeouts
    plans: LinePages
    parked: ParkedMessages
    shares: Shares
    audit: AuditTrail
    limited_logins: LimitedLogins
    provider: Provider | None = None
    """The provider of OpenID Connect, where one is configured."""
    federated: FederatedUsers | None = None
    """Their users; there if `provider` is."""


def api_of(request: Request) -> Api:
    return cast(Api, request.app.state.api)


ApiState = Annotated[Api, Depends(api_of)]

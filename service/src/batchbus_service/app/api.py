"""Composes what the HTTP API works with, from a running service."""

from __future__ import annotations

import structlog

from batchbus_service.access import Users
from batchbus_service.access.audit import AuditTrail, LimitedLogins
from batchbus_service.access.federated import FederatedUsers
from batchbus_service.access.files import FileGrants
from batchbus_service.access.provider import Provider
from batchbus_service.domain.ports import IdentityStore
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.readiness import Readiness
from batchbus_service.http.live.feeds import LiveFeed
from batchbus_service.http.medusa.file_access import FileAccess
from batchbus_service.http.medusa.keys import Keys
from batchbus_service.http.server.connections import DEFAULT_TIMEOUTS, HttpTimeouts
from batchbus_service.http.server.shares import Shares
from batchbus_service.http.server.state import Api, Probes
from batchbus_service.operations.parked.parked_messages import ParkedMessages
from batchbus_service.operations.service import Service
from batchbus_service.storage.line_index import LinePages

__all__ = ["make_api", "make_probes"]


def make_api(service: Service, *, timeouts: HttpTimeouts = DEFAULT_TIMEOUTS) -> Api:
    """Raises `BadSettings` if there is no secret to sign with."""
    log = structlog.get_logger("batchbus")
    settings, stores, files, bus = service.settings, service.stores, service.files, service.bus
    grants = FileGrants(stores.uploads, stores.listings, service.transitions.decider.policy.bus)
    trail = AuditTrail(stores.audit)
    users = Users(stores.users, stores.tokens, stores.sessions, stores.logins)
    provider = _provider(settings)
    api = Api(
        service=service,
        probes=make_probes(service),
        users=users,
        keys=Keys.of(settings),
        feed=LiveFeed(bus, log),
        file_access=FileAccess(
            files,
            stores.uploads,
            grants,
            max_bytes=settings.max_upload_bytes,
            max_of_user=settings.max_user_upload_bytes,
        ),
        timeouts=timeouts,
        plans=LinePages(files),
        parked=ParkedMessages(bus, stores.parked, files, service.transitions.clock, log, background=service.background),
        shares=Shares(),
        audit=trail,
        limited_logins=LimitedLogins(trail),
        provider=provider,
        federated=_federated(settings, users, stores.identities) if provider else None,
    )
    service.meter.look_at_parked(lambda: api.parked.waiting)
    service.meter.look_at_streams(lambda: api.feed.readers)
    return api


def _provider(settings: Settings) -> Provider | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    scopes = settings.oidc_scopes
    return Provider(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, scopes=scopes)


def _federated(settings: Settings, users: Users, identities: IdentityStore) -> FederatedUsers:
    issuer = settings.oidc_issuer or ""
    return FederatedUsers(users, identities, issuer, role_claim=settings.oidc_role_claim, roles=settings.oidc_roles)


def make_probes(service: Service) -> Probes:
    outbox = service.transitions.outbox
    return Probes(Readiness(service.stores.server, service.bus, outbox, service.background), service.meter)

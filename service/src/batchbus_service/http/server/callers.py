"""Who is asking: an API token, a bearer token or a session cookie, on every route under `/admin`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request

from batchbus_service.access import Principal, Scope
from batchbus_service.access.secrets import digest
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.http.medusa.keys import Bearer
from batchbus_service.http.server.errors import Unauthorized, forbidden
from batchbus_service.http.server.origins import require_same_origin
from batchbus_service.http.server.state import Api, api_of

__all__ = [
    "PAGES_COOKIE",
    "PAGES_HEADER",
    "SESSION_COOKIE",
    "TOKEN_HEADER",
    "Caller",
    "Operator",
    "Reader",
    "UserAdmin",
    "Writer",
    "address_of",
    "authenticate",
    "session_digest",
    "session_keys",
    "still_may",
]

TOKEN_HEADER: Final = "x-medusa-access-token"
SESSION_COOKIE: Final = "connect.sid"
"""As with Medusa."""
PAGES_COOKIE: Final = "__Host-batchbus"
"""That of the pages behind TLS: a browser takes it from this host alone, and sends it nowhere else (RFC 6265bis, 4.1.3)."""
PAGES_HEADER: Final = "x-batchbus-pages"
"""What the pages send when they sign in; another site's page cannot, without being asked about by its browser."""


async def authenticate(request: Request) -> Principal:
    """The first of the three credentials that holds counts. Raises: `Unauthorized`, `ApiError`."""
    api = api_of(request)
    for attempt in (_by_token, _by_bearer, _by_session):
        if (principal := await attempt(api, request)) is not None:
            request.state.caller = principal  # for the audit trail
            return principal
    raise Unauthorized


Caller = Annotated[Principal, Depends(authenticate)]
"""Anyone who is known."""


async def _reader(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.JOBS_READ)


async def _writer(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.JOBS_WRITE)


async def _user_admin(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.USERS)


async def _operator(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.OPERATOR)


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Operator = Annotated[Principal, Depends(_operator)]
UserAdmin = Annotated[Principal, Depends(_user_admin)]


def address_of(request: Request) -> str:
    """The IP address that a request comes from, as a trusted proxy says."""
    return request.client.host if request.client else ""


def session_keys(request: Request) -> list[str]:
    """The keys of the sessions that a request came with: those of its cookies, and of its bearer token."""
    keys = [request.cookies[name] for name in (PAGES_COOKIE, SESSION_COOKIE) if request.cookies.get(name)]
    bearer = _bearer(request)
    return [*keys, bearer.session] if bearer else keys


def session_digest(request: Request) -> str | None:
    """What is kept of the first of them."""
    return next(map(digest, session_keys(request)), None)


def _with_scope(principal: Principal, scope: Scope) -> Principal:
    if scope not in principal.scopes:
        raise forbidden(f"This needs the scope {scope}, which your credential does not have")
    return principal


async def still_may(request: Request, caller: Principal) -> bool:
    """Whether the credential still allows all that it did; for answers that take long. So it does in an outage."""
    try:
        now = await authenticate(request)
    except Unauthorized:
        return False
    except StoreUnavailable:
        return True
    return now.user.id == caller.user.id and now.scopes >= caller.scopes


async def _by_token(api: Api, request: Request) -> Principal | None:
    token = request.headers.get(TOKEN_HEADER)
    return await api.users.tokens.holder(token) if token else None


async def _by_bearer(api: Api, request: Request) -> Principal | None:
    bearer = _bearer(request)
    if bearer is None:
        return None
    holder = await api.users.sessions.holder(bearer.session, "bearer")
    return (
        holder if holder and (holder.user.id, holder.user.generation) == (bearer.user_id, bearer.generation) else None
    )


def _bearer(request: Request) -> Bearer | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return api_of(request).keys.bearer_of(token.strip()) if scheme.lower() == "bearer" and token else None


async def _by_session(api: Api, request: Request) -> Principal | None:
    key = request.cookies.get(PAGES_COOKIE) or request.cookies.get(SESSION_COOKIE)
    principal = await api.users.sessions.holder(key) if key else None
    if principal is not None:
        require_same_origin(request, api.service.settings.cors_origins)
    return principal

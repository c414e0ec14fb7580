"""Who is asking: an API token, a bearer token or a session cookie, on every route under `/admin`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request

from batchbus_service.access import Principal, Scope
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.http.server.errors import Unauthorized, forbidden
from batchbus_service.http.server.origins import require_same_origin
from batchbus_service.http.server.state import Api, api_of

__all__ = ["SESSION_COOKIE", "TOKEN_HEADER", "Caller", "Operator", "Reader", "Writer", "authenticate", "still_may"]

TOKEN_HEADER: Final = "x-medusa-access-token"
SESSION_COOKIE: Final = "connect.sid"


async def authenticate(request: Request) -> Principal:
    """The first of the three credentials that holds counts. Raises: `Unauthorized`, `ApiError`."""
    api = api_of(request)
    for attempt in (_by_token, _by_bearer, _by_session):
        if (principal := await attempt(api, request)) is not None:
            return principal
    raise Unauthorized


Caller = Annotated[Principal, Depends(authenticate)]
"""Anyone who is known."""


async def _reader(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.JOBS_READ)


async def _writer(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.JOBS_WRITE)


async def _operator(principal: Caller) -> Principal:
    return _with_scope(principal, Scope.OPERATOR)


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Operator = Annotated[Principal, Depends(_operator)]


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
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    bearer = api.keys.bearer_of(token.strip())
    user = await api.users.get(bearer.user_id) if bearer else None
    return Principal(user, user.role.scopes) if user and bearer and bearer.generation == user.generation else None


async def _by_session(api: Api, request: Request) -> Principal | None:
    key = request.cookies.get(SESSION_COOKIE)
    principal = await api.users.sessions.holder(key) if key else None
    if principal is not None:
        require_same_origin(request, api.service.settings.cors_origins)
    return principal

"""Routes: signing in and out. Login takes an email address and a password, and gives a session or a bearer token."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from batchbus_service.access import SESSION_HOURS, User
from batchbus_service.domain.errors import TryLater
from batchbus_service.http.medusa.bodies import JsonBody, read_login
from batchbus_service.http.medusa.keys import Bearer
from batchbus_service.http.medusa.schemas import OneUser, SignedIn, SignIn
from batchbus_service.http.medusa.wire import user_on_the_wire
from batchbus_service.http.server.callers import (
    PAGES_COOKIE,
    PAGES_HEADER,
    SESSION_COOKIE,
    Caller,
    address_of,
    session_keys,
)
from batchbus_service.http.server.errors import Unauthorized
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.origins import require_same_origin
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["behind_tls", "router", "set_session"]

router = APIRouter(prefix="/admin/auth", tags=["auth"])


@router.post("", responses=answers(OneUser, refusals=(403, 429)), openapi_extra=takes(SignIn))
async def sign_in(request: Request, api: ApiState, body: JsonBody) -> Response:
    """A session, in a cookie."""
    require_same_origin(request, api.service.settings.cors_origins)
    user = await _user(request, api, body)
    name = PAGES_COOKIE if PAGES_HEADER in request.headers and behind_tls(request) else SESSION_COOKIE
    response = OneUser(user=user_on_the_wire(user)).response()
    await set_session(response, request, api, user, name)
    return response


@router.post("/token", responses=answers(SignedIn, refusals=(429,)), openapi_extra=takes(SignIn))
async def bearer_token(request: Request, api: ApiState, body: JsonBody) -> Response:
    """A bearer token for a day."""
    user = await _user(request, api, body)
    bearer = Bearer(user.id, user.generation, await api.users.sessions.begin(user, "bearer"))
    return SignedIn(access_token=api.keys.access_token(bearer)).response()


@router.get("", responses=answers(OneUser))
async def who_am_i(caller: Caller) -> Response:
    """Whose credentials these are."""
    return OneUser(user=user_on_the_wire(caller.user)).response()


@router.delete("", response_class=PlainTextResponse)
async def sign_out(request: Request, api: ApiState, caller: Caller) -> Response:
    """Ends the session, and the bearer token, that the request came with. An API token goes on."""
    for key in session_keys(request):
        await api.users.sessions.end(key)
    await api.audit.note("logout", by=caller.user.id, address=address_of(request))
    response = PlainTextResponse("OK")
    for name in (SESSION_COOKIE, PAGES_COOKIE):
        if name == SESSION_COOKIE or name in request.cookies:
            secure = name == PAGES_COOKIE or behind_tls(request)
            response.delete_cookie(name, httponly=True, samesite="lax", secure=secure)
    return response


async def set_session(response: Response, request: Request, api: Api, user: User, cookie: str) -> None:
    """Begin a session, whose key is in the cookie of that name. Raises `StoreUnavailable`."""
    response.set_cookie(
        cookie,
        await api.users.sessions.begin(user),
        max_age=SESSION_HOURS * 3600,
        httponly=True,
        samesite="lax",
        secure=behind_tls(request),
    )


async def _user(request: Request, api: Api, body: JsonBody) -> User:
    login = read_login(body)
    address = address_of(request)
    try:
        user = await api.users.logins.sign_in(login.email, login.password, address)
    except TryLater:
        api.service.meter.login_failed("limit")
        await api.limited_logins.note(login.email, address)
        raise
    if user is None:
        api.service.meter.login_failed("credentials")
        await api.audit.note("login_refused", by=None, address=address, about=login.email)
        raise Unauthorized
    await api.audit.note("login", by=user.id, address=address)
    return user


def behind_tls(request: Request) -> bool:
    """As the proxy in front says, if it is one that is trusted."""
    return request.url.scheme == "https"

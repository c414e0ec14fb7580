"""Routes: signing in through a provider of OpenID Connect, where one is configured. They are for browsers."""

from __future__ import annotations

from secrets import compare_digest
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from batchbus_service.access.federated import FederatedUsers
from batchbus_service.access.provider import Pending, Provider
from batchbus_service.domain.errors import SignInRefused
from batchbus_service.http.medusa.auth import behind_tls, set_session
from batchbus_service.http.operator.schemas import SignInMethods
from batchbus_service.http.server.callers import PAGES_COOKIE, SESSION_COOKIE, address_of
from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(prefix="/oidc", tags=["oidc"])

_COOKIE: Final = "batchbus-oidc"
_PATH: Final = "/oidc"
_SECONDS: Final = 600
"""How long a sign-in may take."""
_NOT_OURS: Final = "This sign-in was not begun in this browser, or took longer than ten minutes: begin again"


@router.get("", responses=answers(SignInMethods))
async def methods(api: ApiState) -> Response:
    """What the provider is called, for the page on which one signs in; null if there is none."""
    return SignInMethods(oidc=api.service.settings.oidc_name if api.provider else None).response()


@router.get(
    "/login", status_code=302, response_class=RedirectResponse, responses=answers(None, 302, refusals=(404, 503))
)
async def begin(request: Request, api: ApiState) -> Response:
    """To the provider. The browser keeps what it has to bring back."""
    provider, _ = _configured(api)
    pending = Pending.new()
    response = RedirectResponse(await provider.address_for(pending, _redirect_uri(request)), status_code=302)
    sealed = api.keys.sealed({"state": pending.state, "nonce": pending.nonce, "verifier": pending.verifier}, _SECONDS)
    response.set_cookie(
        _COOKIE, sealed, max_age=_SECONDS, path=_PATH, httponly=True, samesite="lax", secure=behind_tls(request)
    )
    return response


@router.get(
    "/callback",
    status_code=303,
    response_class=RedirectResponse,
    responses=answers(None, 303, refusals=(403, 404, 429, 503)),
)
async def end(request: Request, api: ApiState, code: str = "", state: str = "", error: str = "") -> Response:
    """From the provider, with a code. Gives a session in a cookie, and goes on to the pages."""
    provider, federated = _configured(api)
    address = address_of(request)
    try:
        pending = _pending(request, api, state)
        if error or not code:
            raise SignInRefused("The provider did not let you sign in")
        claims = await provider.claims(code, pending, _redirect_uri(request))
        user = await federated.user_of(claims)
    except SignInRefused:
        api.service.meter.login_failed("credentials")
        await api.limited_logins.note(provider.issuer, address, what="login_refused")
        raise
    await api.audit.note("login", by=user.id, address=address, provider=provider.issuer)
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(_COOKIE, path=_PATH, httponly=True, samesite="lax", secure=behind_tls(request))
    await set_session(response, request, api, user, PAGES_COOKIE if behind_tls(request) else SESSION_COOKIE)
    return response


def _configured(api: Api) -> tuple[Provider, FederatedUsers]:
    if api.provider is None or api.federated is None:
        raise not_found("There is no sign-in through a provider here: BATCHBUS_OIDC_ISSUER is not set")
    return api.provider, api.federated


def _pending(request: Request, api: Api, state: str) -> Pending:
    """What the browser has kept. Raises `SignInRefused` if this answer is not the one to what it asked for."""
    kept = api.keys.unsealed(request.cookies.get(_COOKIE, ""))
    if kept is None or not compare_digest(kept["state"].encode(), state.encode()):
        raise SignInRefused(_NOT_OURS)
    return Pending(kept["state"], kept["nonce"], kept["verifier"])


def _redirect_uri(request: Request) -> str:
    return f"{request.base_url}oidc/callback"

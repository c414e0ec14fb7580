"""Routes: one's own sessions, tokens and password, for whoever is signed in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batchbus_service.domain.ports import Session
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.medusa.schemas import Deleted, OneUser
from batchbus_service.http.medusa.wire import user_on_the_wire
from batchbus_service.http.operator.forms_of_access import NewPassword, OwnSession, OwnSessionList, OwnTokenList
from batchbus_service.http.operator.tokens import on_the_wire
from batchbus_service.http.server.callers import Caller, address_of, session_digest
from batchbus_service.http.server.errors import invalid, not_found
from batchbus_service.http.server.forms import Limit, Offset, read_form
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.origins import require_same_origin
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import ApiState

__all__ = ["router"]

router = APIRouter(prefix="/admin/auth", tags=["auth"])


@router.get("/sessions", responses=answers(OwnSessionList))
async def list_sessions(request: Request, api: ApiState, caller: Caller) -> Response:
    """One's own that have not ended, the newest first: those of browsers, and bearer tokens."""
    current = session_digest(request)
    sessions = await api.users.sessions.of_user(caller.user.id)
    return OwnSessionList(sessions=[_shown(each, current) for each in sessions]).response()


@router.delete("/sessions/{id}", responses=answers(Deleted))
async def end_session(request: Request, id: str, api: ApiState, caller: Caller) -> Response:
    """End one of one's own, wherever it is."""
    session_id = segment(id)
    if not await api.users.sessions.end_one(caller.user.id, session_id):
        raise not_found(f"Session with id: {session_id[:100]} was not found")
    await api.audit.note("session_ended", by=caller.user.id, address=address_of(request), about=session_id)
    return Deleted(id=session_id, object="session", deleted=True).response()


@router.get("/tokens", responses=answers(OwnTokenList))
async def list_tokens(api: ApiState, caller: Caller, offset: Offset = 0, limit: Limit = 100) -> Response:
    """One's own API tokens, the newest first, those that are revoked or have ended included."""
    tokens, count = await api.users.tokens.page(user_id=caller.user.id, offset=offset, limit=limit)
    shown = [on_the_wire(token, caller.user) for token in tokens]
    return OwnTokenList(tokens=shown, count=count, offset=offset, limit=limit).response()


@router.delete("/tokens/{id}", responses=answers(Deleted))
async def revoke_token(request: Request, id: str, api: ApiState, caller: Caller) -> Response:
    """Revoke one of one's own API tokens."""
    token_id = segment(id)
    token = await api.users.tokens.get(token_id)
    if token is None or token.user_id != caller.user.id:
        raise not_found(f"Token with id: {token_id[:100]} was not found")
    await api.users.tokens.revoke(token_id)
    await api.audit.note("token_revoked", by=caller.user.id, address=address_of(request), about=token_id)
    return Deleted(id=token_id, object="token", deleted=True).response()


@router.post("/password", responses=answers(OneUser, refusals=(403, 429)), openapi_extra=takes(NewPassword))
async def change_password(request: Request, api: ApiState, caller: Caller, body: JsonBody) -> Response:
    """`{password, new_password}`: the one that holds, and the one to be. It ends all sessions and bearer tokens."""
    require_same_origin(request, api.service.settings.cors_origins)
    asked, address = read_form(NewPassword, body), address_of(request)
    if await api.users.logins.sign_in(caller.user.email, asked.password, address) is None:
        await api.audit.note("password_refused", by=caller.user.id, address=address)
        raise invalid("password: that is not the password")
    await api.users.change(caller.user, password=asked.new_password)
    await api.audit.note("password_changed", by=caller.user.id, address=address)
    return OneUser(user=user_on_the_wire(caller.user)).response()


def _shown(session: Session, current: str | None) -> OwnSession:
    return OwnSession(
        id=session.id,
        kind=session.kind,
        created_at=session.created_at,
        expires_at=session.expires_at,
        current=session.digest == current,
    )

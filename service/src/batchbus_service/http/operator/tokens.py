"""Routes: API tokens, for those who administer users. A token is shown in the answer that makes it, and never again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from batchbus_service.access import TOKEN_DAYS, ApiToken, Scope, User
from batchbus_service.domain.instants import Instant
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.medusa.schemas import Deleted
from batchbus_service.http.operator.schemas import OneToken, Token, TokenList
from batchbus_service.http.server.callers import UserAdmin
from batchbus_service.http.server.errors import invalid, not_found
from batchbus_service.http.server.forms import Form, Limit, Offset, read_form
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["on_the_wire", "router"]

router = APIRouter(prefix="/admin/tokens", tags=["tokens"])

_log = structlog.get_logger("batchbus")


class _NewToken(Form):
    user: str
    """An id or an email address."""
    scopes: frozenset[Scope] = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE})
    expires_at: Instant | None = None


@router.get("", responses=answers(TokenList))
async def list_tokens(
    api: ApiState, _caller: UserAdmin, user: str | None = None, offset: Offset = 0, limit: Limit = 100
) -> Response:
    """The newest first, those that are revoked or have ended included; of one user, by id or email address, or of all."""
    owner = await _owner(api, user) if user is not None else None
    tokens, count = await api.users.tokens.page(user_id=owner.id if owner else None, offset=offset, limit=limit)
    owners = await api.users.known(token.user_id for token in tokens)
    shown = [on_the_wire(token, owners[token.user_id]) for token in tokens]
    return TokenList(tokens=shown, count=count, offset=offset, limit=limit).response()


@router.post("", status_code=201, responses=answers(OneToken, 201), openapi_extra=takes(_NewToken))
async def create(api: ApiState, caller: UserAdmin, body: JsonBody) -> Response:
    """`{user, scopes, expires_at}`: without `scopes` to read and write jobs, without `expires_at` for 90 days; with null, until it is revoked."""
    asked = read_form(_NewToken, body)
    owner = await _owner(api, asked.user)
    expires_at = asked.expires_at
    if "expires_at" not in asked.model_fields_set:
        expires_at = datetime.now(UTC) + timedelta(days=TOKEN_DAYS)
    if not asked.scopes:
        raise invalid("scopes: there has to be one")
    if beyond := sorted(asked.scopes - owner.role.scopes):
        raise invalid(f"scopes: {owner.email} is a {owner.role}, who cannot have {', '.join(beyond)}")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise invalid("expires_at: that is in the past")
    made = await api.users.tokens.create(owner, asked.scopes, expires_at=expires_at)
    _log.info("token_created", id=made.token.id, user=owner.id, scopes=sorted(asked.scopes), by=caller.user.id)
    shown = OneToken(token=on_the_wire(made.token, owner), secret=made.secret)
    return shown.response(201, headers={"cache-control": "no-store"})


@router.delete("/{id}", responses=answers(Deleted))
async def revoke(id: str, api: ApiState, caller: UserAdmin) -> Response:
    """The token is not accepted any more, and stays in the list. Revoking it again changes nothing."""
    token_id = segment(id)
    if await api.users.tokens.get(token_id) is None:
        raise not_found(f"Token with id: {token_id[:100]} was not found")
    await api.users.tokens.revoke(token_id)
    _log.info("token_revoked", id=token_id, by=caller.user.id)
    return Deleted(id=token_id, object="token", deleted=True).response()


async def _owner(api: Api, id_or_email: str) -> User:
    find = api.users.find if "@" in id_or_email else api.users.get
    user = await find(id_or_email)
    if user is None:
        raise not_found(f"User {id_or_email[:100]} was not found")
    return user


def on_the_wire(token: ApiToken, owner: User | None) -> Token:
    return Token(
        id=token.id,
        user_id=token.user_id,
        email=owner.email if owner else None,
        scopes=list(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )

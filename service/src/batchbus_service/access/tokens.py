"""API tokens: what programs show. Each allows a part of what its user may do, until it is revoked or ends by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchbus_events.ids import new_ulid
from batchbus_service.access.secrets import digest, new_secret, now
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.ports import TokenStore
from batchbus_service.domain.principals import ApiToken, Principal, User
from batchbus_service.domain.roles import Scope

__all__ = ["TOKEN_DAYS", "NewToken", "Tokens"]

TOKEN_DAYS: Final = 90
"""How long a token lasts for which nothing else is said."""
_USE_EVERY: Final = timedelta(minutes=1)
"""So often a use is noted, however many requests there are."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been made."""

    token: ApiToken
    secret: str
    """What its user shows. It cannot be read again."""


class Tokens:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, tokens: TokenStore, user_of: Callable[[str], Awaitable[User | None]]) -> None:
        self._tokens = tokens
        self._user_of = user_of

    async def prepare(self) -> None:
        """Have the store ready for use."""
        await self._tokens.prepare()

    async def create(self, user: User, scopes: Collection[Scope], *, expires_at: datetime | None = None) -> NewToken:
        """A token for the user. What their role does not allow, no scope does."""
        secret = f"bb_{new_secret()}"
        token = ApiToken(
            id=f"tok_{new_ulid()}",
            user_id=user.id,
            scopes=tuple(scope for scope in Scope if scope in scopes),
            created_at=now(),
            expires_at=expires_at,
        )
        await self._tokens.insert(token, digest(secret))
        return NewToken(token, secret)

    async def holder(self, secret: str) -> Principal | None:
        """Whose token it is, with what both the token and the user's role allow; None if it is not valid."""
        time = now()
        token = await self._tokens.by_digest(digest(secret))
        if token is None or not token.valid(time):
            return None
        user = await self._user_of(token.user_id)
        if user is None:
            return None
        if token.last_used_at is None or token.last_used_at <= time - _USE_EVERY:
            with suppress(StoreUnavailable):  # the use is not noted, and the token still works
                await self._tokens.note_use(digest(secret), token.last_used_at, time)
        return Principal(user, user.role.scopes.intersection(token.scopes))

    async def ends(self, secret: str) -> datetime | None:
        """When the token ends by itself; None if it does not, or there is none."""
        token = await self._tokens.by_digest(digest(secret))
        return token.expires_at if token else None

    async def get(self, token_id: str) -> ApiToken | None:
        return await self._tokens.get(token_id)

    async def page(self, *, user_id: str | None = None, offset: int, limit: int) -> tuple[list[ApiToken], int]:
        """Tokens, the newest first, those that are not valid any more included; and how many there are in all."""
        return await self._tokens.page(user_id=user_id, offset=offset, limit=limit)

    async def revoke(self, token_id: str) -> None:
        """From now on the token is refused. Does nothing if there is no such token, or it is revoked already."""
        await self._tokens.revoke(token_id, now())

    async def revoke_all(self, user_id: str) -> None:
        """Revoke every token of a user."""
        await self._tokens.revoke_all(user_id, now())

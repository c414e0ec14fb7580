"""API tokens: what programs show. Each allows a part of what its user may do, until it is revoked or ends by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, WriteConcern

from batchbus_events.ids import new_ulid
from batchbus_service.access.secrets import digest, new_secret, now
from batchbus_service.domain.ports import StoreUnavailable
from batchbus_service.domain.principals import Principal, Scope, User
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["ApiToken", "NewToken", "Tokens"]

_DURABLE: Final = WriteConcern(w="majority", j=True)
_NOTED: Final = WriteConcern(w=1)
"""For the last use: one that is lost is made up for within a minute."""
_USE_EVERY: Final = timedelta(minutes=1)
_INDEXES: Final = (
    IndexModel([("user_id", ASCENDING)], name="user"),
    IndexModel([("token_id", ASCENDING)], name="token", unique=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What is known of a token, which is all but the token. Times are UTC."""

    id: str
    """`tok_` and a ULID: it names the token and grants nothing."""
    user_id: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    """None: it does not end by itself."""
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None

    def valid(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been made."""

    token: ApiToken
    secret: str
    """What its user shows. It cannot be read again."""


class Tokens:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, database: AsyncIOMotorDatabase[dict[str, Any]], user_of: Callable[[str], Awaitable[User | None]]
    ) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._tokens = database.get_collection("tokens", codec_options=options, write_concern=_DURABLE)
        self._user_of = user_of

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet."""
        with answered():
            await self._tokens.create_indexes(list(_INDEXES))

    async def create(self, user: User, scopes: Collection[Scope], *, expires_at: datetime | None = None) -> NewToken:
        """A token for the user. What their role does not allow, no scope does."""
        secret = f"bb_{new_secret()}"
        document = {
            "_id": digest(secret),
            "token_id": f"tok_{new_ulid()}",
            "user_id": user.id,
            "scopes": [scope.value for scope in Scope if scope in scopes],
            "created_at": now(),
            "expires_at": expires_at,
        }
        with answered():
            await self._tokens.insert_one(document)
        return NewToken(_token(document), secret)

    async def holder(self, secret: str) -> Principal | None:
        """Whose token it is, with what both the token and the user's role allow; None if it is not valid."""
        time = now()
        with answered():
            document = await self._tokens.find_one({"_id": digest(secret)})
        if document is None or not (token := _token(document)).valid(time):
            return None
        user = await self._user_of(token.user_id)
        if user is None:
            return None
        if token.last_used_at is None or token.last_used_at <= time - _USE_EVERY:
            with suppress(StoreUnavailable):  # the use is not noted, and the token still works
                await self._used(document, time)
        return Principal(user, user.role.scopes.intersection(token.scopes))

    async def get(self, token_id: str) -> ApiToken | None:
        with answered():
            document = await self._tokens.find_one({"token_id": token_id})
        return _token(document) if document else None

    async def page(self, *, user_id: str | None = None, offset: int, limit: int) -> tuple[list[ApiToken], int]:
        """Tokens, the newest first, those that are not valid any more included; and how many there are in all."""
        where = {"user_id": user_id} if user_id is not None else {}
        with answered():
            found = self._tokens.find(where).sort("token_id", DESCENDING).skip(offset).limit(limit)
            return [_token(document) async for document in found], await self._tokens.count_documents(where)

    async def revoke(self, token_id: str) -> None:
        """From now on the token is refused. Does nothing if there is no such token, or it is revoked already."""
        await self._revoke({"token_id": token_id})

    async def revoke_all(self, user_id: str) -> None:
        """Revoke every token of a user."""
        await self._revoke({"user_id": user_id})

    async def _revoke(self, which: dict[str, str]) -> None:
        with answered():
            await self._tokens.update_many({**which, "revoked_at": None}, {"$set": {"revoked_at": now()}})

    async def _used(self, seen: Mapping[str, Any], time: datetime) -> None:
        """One write a minute, however many requests there are: of those that saw the same use, one writes."""
        which = {"_id": seen["_id"], "last_used_at": seen.get("last_used_at")}
        with answered():
            await self._tokens.with_options(write_concern=_NOTED).update_one(which, {"$set": {"last_used_at": time}})


def _token(document: Mapping[str, Any]) -> ApiToken:
    return ApiToken(
        id=document["token_id"],
        user_id=document["user_id"],
        scopes=tuple(Scope(scope) for scope in document["scopes"]),
        created_at=document["created_at"],
        expires_at=document.get("expires_at"),
        last_used_at=document.get("last_used_at"),
        revoked_at=document.get("revoked_at"),
    )

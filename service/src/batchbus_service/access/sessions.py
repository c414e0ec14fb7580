"""Sessions: what a browser holds the key of, in a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, IndexModel, WriteConcern

from batchbus_service.access.secrets import digest, new_secret, now
from batchbus_service.domain.principals import Principal, User
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["SESSION_HOURS", "Sessions"]

SESSION_HOURS: Final = 24

_DURABLE: Final = WriteConcern(w="majority", j=True)
_INDEXES: Final = (
    IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),
    IndexModel([("user_id", ASCENDING)], name="user"),
)


class Sessions:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, database: AsyncIOMotorDatabase[dict[str, Any]], user_of: Callable[[str], Awaitable[User | None]]
    ) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._sessions = database.get_collection("sessions", codec_options=options, write_concern=_DURABLE)
        self._user_of = user_of

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet."""
        with answered():
            await self._sessions.create_indexes(list(_INDEXES))

    async def begin(self, user: User) -> str:
        """The key of a session that lasts `SESSION_HOURS`."""
        key, begun = new_secret(), now()
        document = {
            "_id": digest(key),
            "user_id": user.id,
            "created_at": begun,
            "expires_at": begun + timedelta(hours=SESSION_HOURS),
        }
        with answered():
            await self._sessions.insert_one(document)
        return key

    async def holder(self, key: str) -> Principal | None:
        """Whose session it is; None if it has ended."""
        with answered():
            document = await self._sessions.find_one({"_id": digest(key)})
        if document is None or document["expires_at"] <= now():
            return None
        user = await self._user_of(document["user_id"])
        return Principal(user, user.role.scopes) if user else None

    async def end(self, key: str) -> None:
        """Does nothing if there is no such session."""
        with answered():
            await self._sessions.delete_one({"_id": digest(key)})

    async def end_all(self, user_id: str) -> None:
        """End every session of a user."""
        with answered():
            await self._sessions.delete_many({"user_id": user_id})

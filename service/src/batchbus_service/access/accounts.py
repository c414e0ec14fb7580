"""User accounts, and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, WriteConcern
from pymongo.errors import DuplicateKeyError

from batchbus_events.ids import new_ulid
from batchbus_service.access.emails import is_email
from batchbus_service.access.logins import Logins
from batchbus_service.access.passwords import Passwords
from batchbus_service.access.secrets import now
from batchbus_service.access.sessions import Sessions
from batchbus_service.access.tokens import Tokens
from batchbus_service.domain.principals import Role, User
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["BadUser", "UserExists", "Users"]

_DURABLE: Final = WriteConcern(w="majority", j=True)
_MIN_PASSWORD: Final = 8
_MAX_PASSWORD: Final = 1024


class UserExists(Exception):
    """There is a user with that email address already."""


class BadUser(ValueError):
    """That cannot be a user. The message says what is wrong."""


class Users:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._users = database.get_collection("users", codec_options=options, write_concern=_DURABLE)
        self._passwords = Passwords()
        self.tokens = Tokens(database, self.get)
        self.sessions = Sessions(database, self.get)
        self.logins = Logins(database, self.with_password)

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet."""
        with answered():
            await self._users.create_index([("email", ASCENDING)], unique=True, name="email")
        for part in (self.tokens, self.sessions, self.logins):
            await part.prepare()

    async def add(
        self,
        email: str,
        *,
        role: Role = Role.MEMBER,
        password: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
    ) -> User:
        """Without a password, the user can only come with a token. Raises: `UserExists`, `BadUser`."""
        if not is_email(email):
            raise BadUser(f"{email[:100]!r} is no email address")
        time = now()
        document: dict[str, Any] = {
            "_id": f"usr_{new_ulid()}",
            "email": email.lower(),
            "role": role.value,
            "first_name": first_name,
            "last_name": last_name,
            "created_at": time,
            "updated_at": time,
        }
        if password is not None:
            document["password_hash"] = await self._hashed(password)
        with answered():
            try:
                await self._users.insert_one(document)
            except DuplicateKeyError:
                raise UserExists(f"There is a user {email.lower()} already") from None
        return _user(document)

    async def get(self, user_id: str) -> User | None:
        return await self._find({"_id": user_id})

    async def find(self, email: str) -> User | None:
        return await self._find({"email": email.lower()})

    async def page(self, *, offset: int, limit: int) -> tuple[list[User], int]:
        """Users, in the order in which they were added; and how many there are in all."""
        with answered():
            found = self._users.find({}).sort("_id", ASCENDING).skip(offset).limit(limit)
            return [_user(document) async for document in found], await self._users.count_documents({})

    async def change(self, user: User, *, role: Role | None = None, password: str | None = None) -> None:
        """A new role counts from the next request on. A new password ends every session and voids every bearer token.

        Raises `BadUser`.
        """
        change: dict[str, Any] = {"updated_at": now()}
        if role is not None:
            change["role"] = role.value
        if password is not None:
            change["password_hash"] = await self._hashed(password)
        raised = {"$inc": {"generation": 1}} if password is not None else {}
        with answered():
            await self._users.update_one({"_id": user.id}, {"$set": change, **raised})
        if password is not None:
            await self.sessions.end_all(user.id)

    async def remove(self, user: User) -> None:
        """Their sessions end, their tokens are revoked; their jobs stay."""
        with answered():
            await self._users.delete_one({"_id": user.id})
        await self.sessions.end_all(user.id)
        await self.tokens.revoke_all(user.id)

    async def with_password(self, email: str, password: str) -> User | None:
        """The user, if that is their password. Takes as long for an address without a user."""
        with answered():
            document = await self._users.find_one({"email": email.lower()})
        known = document.get("password_hash") if document else None
        return _user(document) if await self._passwords.verify(known, password) and document else None

    async def _find(self, where: dict[str, str]) -> User | None:
        with answered():
            document = await self._users.find_one(where)
        return _user(document) if document else None

    async def _hashed(self, password: str) -> str:
        if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise BadUser(f"A password has {_MIN_PASSWORD} to {_MAX_PASSWORD} characters")
        return await self._passwords.hash(password)


def _user(document: Mapping[str, Any]) -> User:
    return User(
        id=document["_id"],
        email=document["email"],
        role=Role(document["role"]),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        generation=document.get("generation", 0),
        first_name=document.get("first_name"),
        last_name=document.get("last_name"),
        metadata=document.get("metadata"),
    )

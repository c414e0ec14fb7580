"""Users, their API tokens and their sessions, in MongoDB.

Passwords are kept as argon2id hashes; tokens and session keys, which are 256 bits of chance, as SHA-256 hashes. Nothing
in the database gives anyone access.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, WriteConcern
from pymongo.errors import DuplicateKeyError

from batchbus_events.ids import new_ulid
from batchbus_service.stores.driver import answered
from batchbus_strategies import Json

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["SESSION_HOURS", "BadUser", "Principal", "Role", "Scope", "User", "UserExists", "Users"]

SESSION_HOURS: Final = 24

_DURABLE: Final = WriteConcern(w="majority", j=True)
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,200}@[^@\s\x00-\x1f]{1,200}")
_MIN_PASSWORD: Final = 8
_MAX_PASSWORD: Final = 1024
_HASHERS: Final = 2
"""Passwords hashed at a time: each takes 64 MiB and some 50 ms of one core."""


class Scope(StrEnum):
    """What a credential allows."""

    JOBS_READ = "jobs:read"
    """See one's own jobs."""
    JOBS_WRITE = "jobs:write"
    """Create, confirm, cancel and retry one's own jobs; upload files for them."""
    OPERATOR = "operator"
    """See and touch everyone's jobs, those made over the bus included, and the events of all of them."""


class Role(StrEnum):
    """What a user is."""

    ADMIN = "admin"
    MEMBER = "member"
    DEVELOPER = "developer"

    @property
    def scopes(self) -> frozenset[Scope]:
        """All that the user may do; a token may allow less."""
        own = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE})
        return own | {Scope.OPERATOR} if self is Role.ADMIN else own


class UserExists(Exception):
    """There is a user with that email address already."""


class BadUser(ValueError):
    """That cannot be a user. The message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone who may use the HTTP API. Times are UTC."""

    id: str
    """`usr_` and a ULID."""
    email: str
    role: Role
    created_at: datetime
    updated_at: datetime
    first_name: str | None = None
    last_name: str | None = None
    metadata: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what the credential they showed allows."""

    user: User
    scopes: frozenset[Scope]

    @property
    def sees_all(self) -> bool:
        return Scope.OPERATOR in self.scopes


class Users:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._users = database.get_collection("users", codec_options=options, write_concern=_DURABLE)
        self._tokens = database.get_collection("tokens", codec_options=options, write_concern=_DURABLE)
        self._sessions = database.get_collection("sessions", codec_options=options, write_concern=_DURABLE)
        self._passwords = PasswordHasher()
        self._hashing = asyncio.Semaphore(_HASHERS)
        self._decoy: str | None = None

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet."""
        with answered():
            await self._users.create_index([("email", ASCENDING)], unique=True, name="email")
            await self._tokens.create_index([("user_id", ASCENDING)], name="user")
            await self._sessions.create_index([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry")

    # -- users -----------------------------------------------------------------------------------------------------

    async def add(self, email: str, *, role: Role = Role.MEMBER, password: str | None = None) -> User:
        """Without a password, the user can only come with a token. Raises: `UserExists`, `BadUser`."""
        if not _EMAIL.fullmatch(email):
            raise BadUser(f"{email[:100]!r} is no email address")
        if password is not None and not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise BadUser(f"A password has {_MIN_PASSWORD} to {_MAX_PASSWORD} characters")
        now = _now()
        document: dict[str, Any] = {
            "_id": f"usr_{new_ulid()}",
            "email": email.lower(),
            "role": role.value,
            "created_at": now,
            "updated_at": now,
        }
        if password is not None:
            document["password_hash"] = await self._hash(password)
        with answered():
            try:
                await self._users.insert_one(document)
            except DuplicateKeyError:
                raise UserExists(f"There is a user {email} already") from None
        return _user(document)

    async def get(self, user_id: str) -> User | None:
        with answered():
            document = await self._users.find_one({"_id": user_id})
        return _user(document) if document else None

    async def find(self, email: str) -> User | None:
        with answered():
            document = await self._users.find_one({"email": email.lower()})
        return _user(document) if document else None

    async def with_password(self, email: str, password: str) -> User | None:
        """The user, if that is their password. Takes as long for an address that nobody has."""
        with answered():
            document = await self._users.find_one({"email": email.lower()})
        known = document.get("password_hash") if document else None
        matches = await self._verify(known or await self._decoy_hash(), password)
        return _user(document) if document and known and matches else None

    # -- tokens ----------------------------------------------------------------------------------------------------

    async def new_token(self, user: User, scopes: Collection[Scope]) -> str:
        """A token for the user, which nobody can ever read again."""
        token = f"bb_{secrets.token_urlsafe(32)}"
        document = {
            "_id": _digest(token),
            "token_id": f"tok_{new_ulid()}",
            "user_id": user.id,
            "scopes": sorted(scopes),
            "created_at": _now(),
        }
        with answered():
            await self._tokens.insert_one(document)
        return token

    async def with_token(self, token: str) -> Principal | None:
        """Whose token it is, with what both the token and the user's role allow."""
        with answered():
            document = await self._tokens.find_one({"_id": _digest(token)})
        if document is None or document.get("revoked_at"):
            return None
        user = await self.get(document["user_id"])
        return Principal(user, user.role.scopes & {Scope(scope) for scope in document["scopes"]}) if user else None

    # -- sessions --------------------------------------------------------------------------------------------------

    async def new_session(self, user: User) -> str:
        """The key of a session that lasts `SESSION_HOURS`."""
        key = secrets.token_urlsafe(32)
        now = _now()
        document = {
            "_id": _digest(key),
            "user_id": user.id,
            "created_at": now,
            "expires_at": now + timedelta(hours=SESSION_HOURS),
        }
        with answered():
            await self._sessions.insert_one(document)
        return key

    async def with_session(self, key: str) -> Principal | None:
        with answered():
            document = await self._sessions.find_one({"_id": _digest(key)})
        if document is None or document["expires_at"] <= _now():
            return None
        user = await self.get(document["user_id"])
        return Principal(user, user.role.scopes) if user else None

    async def end_session(self, key: str) -> None:
        """Does nothing if there is no such session."""
        with answered():
            await self._sessions.delete_one({"_id": _digest(key)})

    # -- passwords -------------------------------------------------------------------------------------------------

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._passwords.hash, password)

    async def _verify(self, known: str, password: str) -> bool:
        async with self._hashing:
            try:
                return await asyncio.to_thread(self._passwords.verify, known, password)
            except (VerificationError, InvalidHashError):
                return False

    async def _decoy_hash(self) -> str:
        """The hash of a password that nobody has."""
        if self._decoy is None:
            self._decoy = await self._hash(secrets.token_urlsafe(32))
        return self._decoy


def _user(document: Mapping[str, Any]) -> User:
    return User(
        id=document["_id"],
        email=document["email"],
        role=Role(document["role"]),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        first_name=document.get("first_name"),
        last_name=document.get("last_name"),
        metadata=document.get("metadata"),
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)

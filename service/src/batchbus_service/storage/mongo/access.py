"""Users, tokens, sessions and failed logins on MongoDB: the collections `users`, `tokens`, `sessions` and `logins`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from batchbus_service.domain.errors import UserExists
from batchbus_service.domain.ports import LoginNote, Session
from batchbus_service.domain.principals import ApiToken, User
from batchbus_service.domain.roles import Role, Scope
from batchbus_service.storage.mongo.collection import Collection, Database
from batchbus_service.storage.mongo.driver import NOTED, Document, Stored
from batchbus_service.storage.mongo.reading import read, readable

__all__ = ["MongoIdentityStore", "MongoLoginStore", "MongoSessionStore", "MongoTokenStore", "MongoUserStore"]

_EXPIRY: Final = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry")
_OF_A_USER: Final = IndexModel([("user_id", ASCENDING)], name="user")


class MongoUserStore:
    """`UserStore`."""

    def __init__(self, database: Database) -> None:
        self._users = Collection(database, "users")

    async def prepare(self) -> None:
        await self._users.create_indexes(IndexModel([("email", ASCENDING)], unique=True, name="email"))

    async def insert(self, user: User, password_hash: str | None) -> None:
        document: Document = {
            "_id": user.id,
            "email": user.email,
            "role": user.role.value,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "created_at": user.created_at,
            "updated_at": user.updated_at,
        }
        if password_hash is not None:
            document["password_hash"] = password_hash
        if not await self._users.insert(document):
            raise UserExists(f"There is a user {user.email} already")

    async def get(self, user_id: str) -> User | None:
        document = await self._users.find_one({"_id": user_id})
        return read("user", document, _user) if document else None

    async def find(self, email: str) -> User | None:
        document = await self._users.find_one({"email": email})
        return read("user", document, _user) if document else None

    async def with_password_hash(self, email: str) -> tuple[User, str | None] | None:
        document = await self._users.find_one({"email": email})
        return (read("user", document, _user), document.get("password_hash")) if document else None

    async def page(self, *, offset: int, limit: int) -> tuple[list[User], int]:
        documents, count = await self._users.page({}, [("_id", ASCENDING)], offset=offset, limit=limit)
        return list(readable("user", documents, _user)), count

    async def change(
        self, user_id: str, at: datetime, *, role: Role | None = None, password_hash: str | None = None
    ) -> None:
        change: Document = {"updated_at": at}
        if role is not None:
            change["role"] = role.value
        if password_hash is not None:
            change["password_hash"] = password_hash
        raised = {"$inc": {"generation": 1}} if password_hash is not None else {}
        await self._users.compare_and_set({"_id": user_id}, {"$set": change, **raised})

    async def remove(self, user_id: str) -> None:
        await self._users.delete({"_id": user_id})


class MongoIdentityStore:
    """`IdentityStore`, in the collection `identities`."""

    def __init__(self, database: Database) -> None:
        self._identities = Collection(database, "identities")

    async def user_of(self, subject: str) -> str | None:
        document = await self._identities.find_one({"_id": subject})
        return str(document["user_id"]) if document else None

    async def link(self, subject: str, user_id: str) -> None:
        while not await self._identities.put({"_id": subject}, {"$set": {"user_id": user_id}}):
            pass  # another process has just made it


class MongoTokenStore:
    """`TokenStore`."""

    def __init__(self, database: Database) -> None:
        self._tokens = Collection(database, "tokens")
        self._uses = Collection(database, "tokens", NOTED)

    async def prepare(self) -> None:
        of_a_token = IndexModel([("token_id", ASCENDING)], name="token", unique=True)
        await self._tokens.create_indexes(_OF_A_USER, of_a_token)

    async def insert(self, token: ApiToken, digest: str) -> None:
        document = {
            "_id": digest,
            "token_id": token.id,
            "user_id": token.user_id,
            "scopes": [scope.value for scope in token.scopes],
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        await self._tokens.insert(document)

    async def by_digest(self, digest: str) -> ApiToken | None:
        return await self._find({"_id": digest})

    async def get(self, token_id: str) -> ApiToken | None:
        return await self._find({"token_id": token_id})

    async def page(self, *, user_id: str | None, offset: int, limit: int) -> tuple[list[ApiToken], int]:
        where = {"user_id": user_id} if user_id is not None else {}
        documents, count = await self._tokens.page(where, [("token_id", DESCENDING)], offset=offset, limit=limit)
        return list(readable("token", map(_without_digest, documents), _token)), count

    async def revoke(self, token_id: str, at: datetime) -> None:
        await self._tokens.change_all({"token_id": token_id, "revoked_at": None}, {"$set": {"revoked_at": at}})

    async def revoke_all(self, user_id: str, at: datetime) -> None:
        await self._tokens.change_all({"user_id": user_id, "revoked_at": None}, {"$set": {"revoked_at": at}})

    async def note_use(self, digest: str, seen: datetime | None, at: datetime) -> None:
        await self._uses.compare_and_set({"_id": digest, "last_used_at": seen}, {"$set": {"last_used_at": at}})

    async def _find(self, where: Mapping[str, str]) -> ApiToken | None:
        document = await self._tokens.find_one(where)
        return read("token", _without_digest(document), _token) if document else None


class MongoSessionStore:
    """`SessionStore`."""

    def __init__(self, database: Database) -> None:
        self._sessions = Collection(database, "sessions")

    async def prepare(self) -> None:
        await self._sessions.create_indexes(_EXPIRY, _OF_A_USER)

    async def insert(self, session: Session) -> None:
        document = {
            "_id": session.digest,
            "session_id": session.id,
            "kind": session.kind,
            "user_id": session.user_id,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
        }
        await self._sessions.insert(document)

    async def get(self, digest: str) -> Session | None:
        document = await self._sessions.find_one({"_id": digest})
        return read("session", document, _session) if document else None

    async def of_user(self, user_id: str) -> list[Session]:
        documents = await self._sessions.find({"user_id": user_id})
        known = list(readable("session", documents, _session))
        return sorted(known, key=lambda session: session.id, reverse=True)

    async def remove(self, digest: str) -> None:
        await self._sessions.delete({"_id": digest})

    async def remove_all(self, user_id: str) -> None:
        await self._sessions.delete_all({"user_id": user_id})


class MongoLoginStore:
    """`LoginStore`."""

    def __init__(self, database: Database) -> None:
        self._notes = Collection(database, "logins", NOTED)

    async def prepare(self) -> None:
        await self._notes.create_indexes(_EXPIRY)

    async def notes(self, ids: Sequence[str]) -> Mapping[str, LoginNote]:
        found = await self._notes.find({"_id": {"$in": list(ids)}})
        return {note["_id"]: LoginNote(note["expires_at"], note.get("failures", 0)) for note in found}

    async def count_failure(self, note_id: str, now: datetime, until: datetime) -> None:
        running, again = {"_id": note_id, "expires_at": {"$gt": now}}, {"$inc": {"failures": 1}}
        over, first = {"_id": note_id, "expires_at": {"$lte": now}}, {"failures": 1, "expires_at": until}
        if await self._notes.compare_and_set(running, again):
            return
        if not await self._notes.put(over, {"$set": first}):  # another process has just counted the first
            await self._notes.compare_and_set(running, again)

    async def keep(self, note_id: str, until: datetime) -> None:
        await self._notes.put({"_id": note_id}, {"$set": {"expires_at": until}})

    async def forget(self, note_id: str) -> None:
        await self._notes.delete({"_id": note_id})


def _user(document: Stored) -> User:
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


def _without_digest(document: Document) -> Document:
    """With the id that names the token and grants nothing in the place of the digest, so that this gets into no log."""
    return document | {"_id": document.get("token_id")}


def _token(document: Stored) -> ApiToken:
    return ApiToken(
        id=document["token_id"],
        user_id=document["user_id"],
        scopes=tuple(Scope(scope) for scope in document["scopes"]),
        created_at=document["created_at"],
        expires_at=document.get("expires_at"),
        last_used_at=document.get("last_used_at"),
        revoked_at=document.get("revoked_at"),
    )


def _session(document: Stored) -> Session:
    return Session(
        digest=document["_id"],
        id=document.get("session_id", f"ses_{document['_id'][:26]}"),
        kind=document.get("kind", "cookie"),
        user_id=document["user_id"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
    )

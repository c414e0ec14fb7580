"""Users, tokens, sessions and failed logins in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from batchbus_service.domain.errors import UserExists
from batchbus_service.domain.ports import AuditRecord, LoginNote, Session
from batchbus_service.domain.principals import ApiToken, User
from batchbus_service.domain.roles import Role

__all__ = [
    "MemoryAuditStore",
    "MemoryIdentityStore",
    "MemoryLoginStore",
    "MemorySessionStore",
    "MemoryTokenStore",
    "MemoryUserStore",
]


class MemoryIdentityStore:
    """`IdentityStore` in a dict."""

    def __init__(self) -> None:
        self._users: dict[str, str] = {}

    async def user_of(self, subject: str) -> str | None:
        return self._users.get(subject)

    async def link(self, subject: str, user_id: str) -> None:
        self._users[subject] = user_id


class MemoryUserStore:
    """`UserStore` in a dict."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._hashes: dict[str, str] = {}

    async def prepare(self) -> None:
        pass

    async def insert(self, user: User, password_hash: str | None) -> None:
        if await self.find(user.email):
            raise UserExists(f"There is a user {user.email} already")
        self._users[user.id] = user
        if password_hash is not None:
            self._hashes[user.id] = password_hash

    async def get(self, user_id: str) -> User | None:
        return self._users.get(user_id)

    async def find(self, email: str) -> User | None:
        return next((user for user in self._users.values() if user.email == email), None)

    async def with_password_hash(self, email: str) -> tuple[User, str | None] | None:
        user = await self.find(email)
        return (user, self._hashes.get(user.id)) if user else None

    async def page(self, *, offset: int, limit: int) -> tuple[list[User], int]:
        users = sorted(self._users.values(), key=lambda user: user.id)
        return users[offset : offset + limit], len(users)

    async def change(
        self, user_id: str, at: datetime, *, role: Role | None = None, password_hash: str | None = None
    ) -> None:
        if (user := self._users.get(user_id)) is None:
            return
        if password_hash is not None:
            self._hashes[user_id] = password_hash
        generation = user.generation + (password_hash is not None)
        self._users[user_id] = replace(user, updated_at=at, role=role or user.role, generation=generation)

    async def remove(self, user_id: str) -> None:
        self._users.pop(user_id, None)
        self._hashes.pop(user_id, None)


class MemoryTokenStore:
    """`TokenStore` in a dict."""

    def __init__(self) -> None:
        self._tokens: dict[str, ApiToken] = {}

    async def prepare(self) -> None:
        pass

    async def insert(self, token: ApiToken, digest: str) -> None:
        self._tokens[digest] = token

    async def by_digest(self, digest: str) -> ApiToken | None:
        return self._tokens.get(digest)

    async def get(self, token_id: str) -> ApiToken | None:
        return next((token for token in self._tokens.values() if token.id == token_id), None)

    async def page(self, *, user_id: str | None, offset: int, limit: int) -> tuple[list[ApiToken], int]:
        tokens = [token for token in self._tokens.values() if user_id in (None, token.user_id)]
        tokens.sort(key=lambda token: token.id, reverse=True)
        return tokens[offset : offset + limit], len(tokens)

    async def revoke(self, token_id: str, at: datetime) -> None:
        self._revoke({digest for digest, token in self._tokens.items() if token.id == token_id}, at)

    async def revoke_all(self, user_id: str, at: datetime) -> None:
        self._revoke({digest for digest, token in self._tokens.items() if token.user_id == user_id}, at)

    async def note_use(self, digest: str, seen: datetime | None, at: datetime) -> None:
        token = self._tokens.get(digest)
        if token and token.last_used_at == seen:
            self._tokens[digest] = replace(token, last_used_at=at)

    def _revoke(self, digests: set[str], at: datetime) -> None:
        for digest in digests:
            token = self._tokens[digest]
            self._tokens[digest] = replace(token, revoked_at=token.revoked_at or at)


class MemorySessionStore:
    """`SessionStore` in a dict."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def prepare(self) -> None:
        pass

    async def insert(self, session: Session) -> None:
        self._sessions[session.digest] = session

    async def get(self, digest: str) -> Session | None:
        return self._sessions.get(digest)

    async def of_user(self, user_id: str) -> list[Session]:
        own = [session for session in self._sessions.values() if session.user_id == user_id]
        return sorted(own, key=lambda session: session.id, reverse=True)

    async def remove(self, digest: str) -> None:
        self._sessions.pop(digest, None)

    async def remove_all(self, user_id: str) -> None:
        self._sessions = {digest: each for digest, each in self._sessions.items() if each.user_id != user_id}


class MemoryAuditStore:
    """`AuditStore` in a list."""

    def __init__(self) -> None:
        self._records: list[AuditRecord] = []

    async def prepare(self) -> None:
        pass

    async def append(self, record: AuditRecord) -> None:
        self._records.append(record)

    async def page(self, *, by: str | None, what: str | None, offset: int, limit: int) -> tuple[list[AuditRecord], int]:
        found = [each for each in self._records if by in (None, each.by) and what in (None, each.what)]
        found.sort(key=lambda record: record.id, reverse=True)
        return found[offset : offset + limit], len(found)


class MemoryLoginStore:
    """`LoginStore` in a dict."""

    def __init__(self) -> None:
        self._notes: dict[str, LoginNote] = {}

    async def prepare(self) -> None:
        pass

    async def notes(self, ids: Sequence[str]) -> Mapping[str, LoginNote]:
        return {note_id: self._notes[note_id] for note_id in ids if note_id in self._notes}

    async def count_failure(self, note_id: str, now: datetime, until: datetime) -> None:
        known = self._notes.get(note_id)
        running = known is not None and known.expires_at > now
        self._notes[note_id] = replace(known, failures=known.failures + 1) if known and running else LoginNote(until, 1)

    async def keep(self, note_id: str, until: datetime) -> None:
        self._notes[note_id] = replace(self._notes.get(note_id, LoginNote(until)), expires_at=until)

    async def forget(self, note_id: str) -> None:
        self._notes.pop(note_id, None)

"""The ports of users, and of what they show to prove who they are: passwords, tokens, sessions, failed logins.

Secrets themselves never come here: a store is given hashes and digests, from which nobody gets a secret back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from batchbus_service.domain.principals import ApiToken, User
from batchbus_service.domain.roles import Role

__all__ = ["IdentityStore", "LoginNote", "LoginStore", "Session", "SessionStore", "TokenStore", "UserStore"]


class UserStore(Protocol):
    """The users. Every method may raise `StoreUnavailable`; writes are durable once they return."""

    async def prepare(self) -> None:
        """Have the store ensure that each email address belongs to one user."""

    async def insert(self, user: User, password_hash: str | None) -> None:
        """Add a user. Raises `UserExists` if the email address is taken."""

    async def get(self, user_id: str) -> User | None:
        """The user with that id, or None. Raises `UnreadableDocument`."""

    async def find(self, email: str) -> User | None:
        """The user with that email address, in lower case as it is stored, or None. Raises `UnreadableDocument`."""

    async def with_password_hash(self, email: str) -> tuple[User, str | None] | None:
        """The user with that email address, and the hash of their password if they have one. Raises `UnreadableDocument`."""

    async def page(self, *, offset: int, limit: int) -> tuple[list[User], int]:
        """Users, in the order in which they were added, and how many there are in all."""

    async def change(
        self, user_id: str, at: datetime, *, role: Role | None = None, password_hash: str | None = None
    ) -> None:
        """Change what is given; a new password raises the user's `generation`. Does nothing if there is no such user."""

    async def remove(self, user_id: str) -> None:
        """Remove the user. Does nothing if there is no such user."""


class TokenStore(Protocol):
    """The API tokens, each by the digest of its secret. Every method may raise `StoreUnavailable`."""

    async def prepare(self) -> None:
        """Have the store find tokens by their ids and by their users."""

    async def insert(self, token: ApiToken, digest: str) -> None:
        """Add a token; durable once it returns."""

    async def by_digest(self, digest: str) -> ApiToken | None:
        """The token whose secret has that digest, or None. Raises `UnreadableDocument`."""

    async def get(self, token_id: str) -> ApiToken | None:
        """The token with that id, or None. Raises `UnreadableDocument`."""

    async def page(self, *, user_id: str | None, offset: int, limit: int) -> tuple[list[ApiToken], int]:
        """Tokens of one user or of all, the newest first, and how many there are in all."""

    async def revoke(self, token_id: str, at: datetime) -> None:
        """Note that the token is revoked, unless it is already; durable once it returns."""

    async def revoke_all(self, user_id: str, at: datetime) -> None:
        """Revoke every token of the user that is not revoked already; durable once it returns."""

    async def note_use(self, digest: str, seen: datetime | None, at: datetime) -> None:
        """Note that the token was used, if `seen` is still its last use.

        So of several callers that saw the same last use, one writes. A note that is lost in a crash of the database
        is made up for by the next use.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of a browser, or a bearer token. Times are UTC."""

    digest: str
    """Of the key that the browser holds, or of the id in the bearer token."""
    id: str
    """`ses_` and a ULID: it names the session and grants nothing."""
    kind: Literal["cookie", "bearer"]
    user_id: str
    created_at: datetime
    expires_at: datetime


class SessionStore(Protocol):
    """The sessions. Every method may raise `StoreUnavailable`; writes are durable once they return."""

    async def prepare(self) -> None:
        """Have the store forget sessions some time after they have expired."""

    async def insert(self, session: Session) -> None:
        """Add a session."""

    async def get(self, digest: str) -> Session | None:
        """The session, which may have expired, or None. Raises `UnreadableDocument`."""

    async def of_user(self, user_id: str) -> list[Session]:
        """All of the user's, the newest first, also those that have expired. Those that cannot be read are left out."""

    async def remove(self, digest: str) -> None:
        """Remove the session. Does nothing if there is none."""

    async def remove_all(self, user_id: str) -> None:
        """Remove every session of the user."""


class IdentityStore(Protocol):
    """Whose the subjects of a provider of OpenID Connect are. Every method may raise `StoreUnavailable`."""

    async def user_of(self, subject: str) -> str | None:
        """The id of the user whose subject that is, by its digest; None if it is no user's."""

    async def link(self, subject: str, user_id: str) -> None:
        """From now on the subject is that user's, and no other's. Durable once it returns."""


@dataclass(frozen=True, slots=True)
class LoginNote:
    """What is noted about an address or an account, until it expires."""

    expires_at: datetime
    failures: int = 0


class LoginStore(Protocol):
    """Notes about logins, each under an id that says what it is about. Every method may raise `StoreUnavailable`.

    A note that is lost in a crash of the database does no harm.
    """

    async def prepare(self) -> None:
        """Have the store forget notes some time after they have expired."""

    async def notes(self, ids: Sequence[str]) -> Mapping[str, LoginNote]:
        """The notes of these ids that there are, also those that have expired."""

    async def count_failure(self, note_id: str, now: datetime, until: datetime) -> None:
        """Count one failure more in the note; if there is none, or it has expired, begin one that lasts until `until`."""

    async def keep(self, note_id: str, until: datetime) -> None:
        """Keep the note until then; make it if there is none."""

    async def forget(self, note_id: str) -> None:
        """Remove the note. Does nothing if there is none."""

"""User accounts, and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from batchbus_events.ids import new_ulid
from batchbus_service.access.common_passwords import is_common
from batchbus_service.access.emails import is_email
from batchbus_service.access.logins import Logins
from batchbus_service.access.passwords import Passwords
from batchbus_service.access.secrets import now
from batchbus_service.access.sessions import Sessions
from batchbus_service.access.tokens import Tokens
from batchbus_service.domain.errors import BadUser, UnreadableDocument
from batchbus_service.domain.ports import LoginStore, SessionStore, TokenStore, UserStore
from batchbus_service.domain.principals import User
from batchbus_service.domain.roles import Role

__all__ = ["Users"]

_MIN_PASSWORD: Final = 8
_MAX_PASSWORD: Final = 1024


class Users:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, users: UserStore, tokens: TokenStore, sessions: SessionStore, logins: LoginStore) -> None:
        self._users = users
        self._passwords = Passwords()
        self.tokens = Tokens(tokens, self.get)
        self.sessions = Sessions(sessions, self.get)
        self.logins = Logins(logins, self.with_password)

    async def prepare(self) -> None:
        """Have the stores ready for use: create what they need that is not there yet."""
        await self._users.prepare()
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
        user = User(
            id=f"usr_{new_ulid()}",
            email=email.lower(),
            role=role,
            created_at=time,
            updated_at=time,
            first_name=first_name,
            last_name=last_name,
        )
        hashed = await self._hashed(user.email, password) if password is not None else None
        await self._users.insert(user, hashed)
        return user

    async def get(self, user_id: str) -> User | None:
        return await self._users.get(user_id)

    async def find(self, email: str) -> User | None:
        return await self._users.find(email.lower())

    async def known(self, user_ids: Iterable[str]) -> dict[str, User | None]:
        """The users by their ids; None for one who is not there any more, or cannot be read."""
        known: dict[str, User | None] = {}
        for user_id in set(user_ids):
            try:
                known[user_id] = await self._users.get(user_id)
            except UnreadableDocument:  # the log names it
                known[user_id] = None
        return known

    async def page(self, *, offset: int, limit: int) -> tuple[list[User], int]:
        """Users, in the order in which they were added; and how many there are in all."""
        return await self._users.page(offset=offset, limit=limit)

    async def change(self, user: User, *, role: Role | None = None, password: str | None = None) -> None:
        """A new role counts from the next request on. A new password ends every session and voids every bearer token.

        Raises `BadUser`.
        """
        hashed = await self._hashed(user.email, password) if password is not None else None
        await self._users.change(user.id, now(), role=role, password_hash=hashed)
        if hashed is not None:
            await self.sessions.end_all(user.id)

    async def remove(self, user: User) -> None:
        """Their sessions end, their tokens are revoked; their jobs stay."""
        await self._users.remove(user.id)
        await self.sessions.end_all(user.id)
        await self.tokens.revoke_all(user.id)

    async def with_password(self, email: str, password: str) -> User | None:
        """The user, if that is their password. Takes as long for an address without a user."""
        user, known = await self._users.with_password_hash(email.lower()) or (None, None)
        return user if await self._passwords.verify(known, password) else None

    async def _hashed(self, email: str, password: str) -> str:
        if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise BadUser(f"A password has {_MIN_PASSWORD} to {_MAX_PASSWORD} characters")
        if is_common(password, email, email.partition("@")[0], "batchbus"):
            raise BadUser("That password is one of those that are tried first; choose another, such as a few words")
        return await self._passwords.hash(password)

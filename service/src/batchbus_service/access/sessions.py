"""Sessions: what a browser holds the key of, in a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from batchbus_service.access.secrets import digest, new_secret, now
from batchbus_service.domain.ports import Session, SessionStore
from batchbus_service.domain.principals import Principal, User

__all__ = ["SESSION_HOURS", "Sessions"]

SESSION_HOURS: Final = 24


class Sessions:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, sessions: SessionStore, user_of: Callable[[str], Awaitable[User | None]]) -> None:
        self._sessions = sessions
        self._user_of = user_of

    async def prepare(self) -> None:
        """Have the store ready for use."""
        await self._sessions.prepare()

    async def begin(self, user: User) -> str:
        """The key of a session that lasts `SESSION_HOURS`."""
        key, begun = new_secret(), now()
        ends = begun + timedelta(hours=SESSION_HOURS)
        await self._sessions.insert(Session(digest=digest(key), user_id=user.id, created_at=begun, expires_at=ends))
        return key

    async def holder(self, key: str) -> Principal | None:
        """Whose session it is; None if it has ended."""
        session = await self._sessions.get(digest(key))
        if session is None or session.expires_at <= now():
            return None
        user = await self._user_of(session.user_id)
        return Principal(user, user.role.scopes) if user else None

    async def end(self, key: str) -> None:
        """Does nothing if there is no such session."""
        await self._sessions.remove(digest(key))

    async def end_all(self, user_id: str) -> None:
        """End every session of a user."""
        await self._sessions.remove_all(user_id)

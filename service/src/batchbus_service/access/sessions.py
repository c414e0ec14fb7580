"""Sessions: what a browser holds the key of, in a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Literal

from batchbus_events.ids import new_ulid
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

    async def begin(self, user: User, kind: Literal["cookie", "bearer"] = "cookie") -> str:
        """The key of a session that lasts `SESSION_HOURS`: what a cookie holds, or the id of a bearer token."""
        key, begun = new_secret(), now()
        session = Session(
            digest=digest(key),
            id=f"ses_{new_ulid()}",
            kind=kind,
            user_id=user.id,
            created_at=begun,
            expires_at=begun + timedelta(hours=SESSION_HOURS),
        )
        await self._sessions.insert(session)
        return key

    async def holder(self, key: str, kind: Literal["cookie", "bearer"] = "cookie") -> Principal | None:
        """Whose session it is; None if it has ended, or is of the other kind."""
        session = await self._sessions.get(digest(key))
        if session is None or session.kind != kind or session.expires_at <= now():
            return None
        user = await self._user_of(session.user_id)
        return Principal(user, user.role.scopes) if user else None

    async def end(self, key: str) -> None:
        """Does nothing if there is no such session."""
        await self._sessions.remove(digest(key))

    async def of_user(self, user_id: str) -> list[Session]:
        """Those that have not ended, the newest first."""
        time = now()
        return [session for session in await self._sessions.of_user(user_id) if session.expires_at > time]

    async def end_one(self, user_id: str, session_id: str) -> bool:
        """End the user's session of that id. Returns whether there was one."""
        found = [session for session in await self._sessions.of_user(user_id) if session.id == session_id]
        for session in found:
            await self._sessions.remove(session.digest)
        return bool(found)

    async def end_all(self, user_id: str) -> None:
        """End every session of a user."""
        await self._sessions.remove_all(user_id)

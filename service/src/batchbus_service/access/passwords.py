"""Hashing passwords with argon2id, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from batchbus_service.access.secrets import new_secret

__all__ = ["AT_A_TIME", "IN_ALL", "Passwords"]

AT_A_TIME: Final = 2
"""Passwords of strangers that are hashed at a time: each takes 64 MiB and some 50 ms of a core or two."""
IN_ALL: Final = AT_A_TIME + 1
"""With that of somebody who is known."""


class Passwords:
    """One per process."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._room = asyncio.Semaphore(IN_ALL)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether the password is the one with that hash. Without a hash it is none, and to say so takes as long."""
        if self._decoy is None:
            self._decoy = await self.hash(new_secret())
        async with self._room:
            try:
                await asyncio.to_thread(self._hasher.verify, known or self._decoy, password)
            except (VerificationError, InvalidHashError):
                return False
        return known is not None

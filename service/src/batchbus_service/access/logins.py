"""Signing in with a password, and the limit on how often one may be wrong about it.

Failures are counted in the database, so that every process sees them all, for a quarter of an hour from the first one on:

* of one address at one account, which is someone who guesses or has forgotten;
* of one address at any account, which is someone who tries one password on everyone;
* of all addresses at one account, which is someone who guesses from many places.

A login that is refused is not counted, so every refusal ends by itself. The last two do not hold for an address from which
the account was signed in to lately: strangers cannot lock its owner out. Nor can they lock out an address that is new: when
an account has had its failures, each address still has a share of a few, up to a number that no guesser gets far with.

Logins wait for their turn in two lanes, of which one is for addresses that are known; and no address fills a lane alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchbus_service.access.passwords import AT_A_TIME
from batchbus_service.access.secrets import digest, now
from batchbus_service.domain.errors import TryLater
from batchbus_service.domain.ports import LoginStore
from batchbus_service.domain.principals import User

__all__ = [
    "FailureLimits",
    "Logins",
    "network_of",
]

_WINDOW: Final = timedelta(minutes=15)
_LATELY: Final = timedelta(days=30)
_AT_ONCE: Final = 100
"""Logins that may be under way in a lane; behind them, a new one would wait for seconds. To be refused costs nothing."""
_AT_ONCE_OF_ONE: Final = 50
"""Of these, from one address."""
_LOOKED_UP: Final = 4
"""While the lane of strangers is full: for so many at a time it is looked up whether they are known."""
_REMEMBERED: Final = 10_000
"""Addresses and accounts that this process remembers to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimits:
    """How many logins may fail within a quarter of an hour. No settings: only tests have others."""

    address_at_account: int = 10
    address: int = 50
    account: int = 100
    """From there on, an address that is not known has its share alone."""
    share: int = 2
    """Failures of one address at an account that has had its own."""
    account_at_most: int = 1000
    """From there on, only addresses that are known may try."""


class Logins:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(
        self,
        notes: LoginStore,
        check: Callable[[str, str], Awaitable[User | None]],
        *,
        limits: FailureLimits = FailureLimits(),
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`check`: who it is, by email address and password."""
        self._notes = notes
        self._check = check
        self._limits = limits
        self._now = clock
        self._strangers = _WaitingRoom(AT_A_TIME)
        self._known = _WaitingRoom(1)
        self._of_address: Counter[str] = Counter()
        self._looked_up = 0
        self._seen: dict[str, None] = {}
        """The notes of addresses that are known, as far as this process has come across them; the latest last."""

    async def prepare(self) -> None:
        """Have the store ready for use."""
        await self._notes.prepare()

    async def sign_in(self, email: str, password: str, address: str) -> User | None:
        """The user, if that is their password. `address`: the IP address that asks. Raises `TryLater`."""
        attempt = _Attempt.of(email, address)
        if self._of_address[attempt.anywhere] >= _AT_ONCE_OF_ONE:
            raise _too_many_at_once()
        self._of_address[attempt.anywhere] += 1
        try:
            room = self._known if await self._is_known(attempt) else self._strangers
            with room.place():
                await self._admit(attempt)
                async with room.checking:
                    await self._admit(attempt)  # of many at the same moment, some have failed by now
                    user = await self._check(email, password)
                    await (self._failed(attempt) if user is None else self._succeeded(attempt))
                    return user
        finally:
            self._of_address[attempt.anywhere] -= 1
            if not self._of_address[attempt.anywhere]:
                del self._of_address[attempt.anywhere]

    async def _is_known(self, attempt: _Attempt) -> bool:
        """Whether the login has the lane of its own. It is looked up only where it matters, a few at a time."""
        if attempt.trusted in self._seen:
            return True
        if not self._strangers.full:
            return False
        if self._looked_up >= _LOOKED_UP:
            raise _too_many_at_once()
        self._looked_up += 1
        try:
            found = await self._notes.notes([attempt.trusted])
        finally:
            self._looked_up -= 1
        return any(note.expires_at > self._now() for note in found.values())

    def _remember(self, attempt: _Attempt) -> None:
        self._seen.pop(attempt.trusted, None)
        self._seen[attempt.trusted] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    async def _admit(self, attempt: _Attempt) -> None:
        time = self._now()
        found = await self._notes.notes(attempt.notes)
        notes = {note_id: note for note_id, note in found.items() if note.expires_at > time}
        limits = {attempt.at_account: self._limits.address_at_account}
        if attempt.trusted not in notes:
            limits |= {attempt.anywhere: self._limits.address, attempt.by_anyone: self._limits.account_at_most}
            if attempt.by_anyone in notes and notes[attempt.by_anyone].failures >= self._limits.account:
                limits[attempt.at_account] = self._limits.share
        reached = [notes[note] for note, most in limits.items() if note in notes and notes[note].failures >= most]
        if reached:
            seconds = math.ceil((max(note.expires_at for note in reached) - time).total_seconds())
            raise TryLater(f"Too many failed logins: try again in {seconds} seconds", seconds)

    async def _failed(self, attempt: _Attempt) -> None:
        for note in attempt.counted:
            time = self._now()
            await self._notes.count_failure(note, time, time + _WINDOW)

    async def _succeeded(self, attempt: _Attempt) -> None:
        await self._notes.forget(attempt.at_account)
        await self._notes.keep(attempt.trusted, self._now() + _LATELY)
        self._remember(attempt)


class _WaitingRoom:
    """Logins that wait for their turn."""

    def __init__(self, at_a_time: int) -> None:
        self.checking = asyncio.Semaphore(at_a_time)
        self._inside = 0

    @property
    def full(self) -> bool:
        return self._inside >= _AT_ONCE

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises `TryLater` if there is none."""
        if self.full:
            raise _too_many_at_once()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def _too_many_at_once() -> TryLater:
    return TryLater("Too many logins at the same moment", 1)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The ids of the notes that a login looks at."""

    at_account: str
    anywhere: str
    by_anyone: str
    trusted: str

    @classmethod
    def of(cls, email: str, address: str) -> _Attempt:
        account, network = digest(email.lower()), network_of(address)
        pair = f"{account} {network}"
        return cls(f"failed {pair}", f"failed {network}", f"failed {account}", f"known {pair}")

    @property
    def counted(self) -> tuple[str, str, str]:
        return (self.at_account, self.anywhere, self.by_anyone)

    @property
    def notes(self) -> list[str]:
        return [*self.counted, self.trusted]


def network_of(address: str) -> str:
    """Whose address it is, for limits: a client that has one IPv6 address has 2**64 of them."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)

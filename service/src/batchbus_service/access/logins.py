"""Signing in with a password, and the limit on how often one may be wrong about it.

Failures are counted in MongoDB, so that every process sees them all, for a quarter of an hour from the first one on:

* of one address at one account, which is someone who guesses or has forgotten;
* of one address at any account, which is someone who tries one password on everyone;
* of all addresses at one account, which is someone who guesses from many places.

Whoever is refused is not counted, so every refusal ends by itself. The last two do not hold for an address from which
the account was signed in to lately: strangers cannot lock its owner out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, WriteConcern
from pymongo.errors import DuplicateKeyError

from batchbus_service.access.passwords import AT_A_TIME
from batchbus_service.access.secrets import digest, now
from batchbus_service.domain.principals import User
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["FailureLimits", "Logins", "TryLater"]

_NOTED: Final = WriteConcern(w=1)
_WINDOW: Final = timedelta(minutes=15)
_LATELY: Final = timedelta(days=30)
_AT_ONCE: Final = 100
"""Logins that may be under way; behind them, a new one would wait for seconds. To be refused costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimits:
    """How many logins may fail within a quarter of an hour. No settings: only tests have others."""

    address_at_account: int = 10
    address: int = 50
    account: int = 100


class TryLater(Exception):
    """Too many logins have failed, or wait. `seconds`: when to try again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Logins:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(
        self,
        database: AsyncIOMotorDatabase[dict[str, Any]],
        check: Callable[[str, str], Awaitable[User | None]],
        *,
        limits: FailureLimits = FailureLimits(),
        clock: Callable[[], datetime] = now,
    ) -> None:
        """`check`: who it is, by email address and password."""
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._notes = database.get_collection("logins", codec_options=options, write_concern=_NOTED)
        self._check = check
        self._limits = limits
        self._now = clock
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._under_way = 0

    async def prepare(self) -> None:
        """Create the index, if it is not there yet."""
        with answered():
            await self._notes.create_index([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry")

    async def sign_in(self, email: str, password: str, address: str) -> User | None:
        """The user, if that is their password. `address`: the IP address that asks. Raises `TryLater`."""
        if self._under_way >= _AT_ONCE:
            raise TryLater("Too many logins at the same moment", 1)
        self._under_way += 1
        try:
            attempt = _Attempt.of(email, address)
            await self._admit(attempt)
            async with self._turns:
                await self._admit(attempt)  # of many at the same moment, some have failed by now
                user = await self._check(email, password)
                await (self._failed(attempt) if user is None else self._succeeded(attempt))
                return user
        finally:
            self._under_way -= 1

    async def _admit(self, attempt: _Attempt) -> None:
        time = self._now()
        with answered():
            found = self._notes.find({"_id": {"$in": attempt.notes}})
            notes = {note["_id"]: note async for note in found if note["expires_at"] > time}
        limits = {attempt.at_account: self._limits.address_at_account}
        if attempt.trusted not in notes:
            limits |= {attempt.anywhere: self._limits.address, attempt.by_anyone: self._limits.account}
        reached = [notes[note] for note, most in limits.items() if note in notes and notes[note]["failures"] >= most]
        if reached:
            seconds = math.ceil((max(note["expires_at"] for note in reached) - time).total_seconds())
            raise TryLater(f"Too many failed logins: try again in {seconds} seconds", seconds)

    async def _failed(self, attempt: _Attempt) -> None:
        for note in attempt.counted:
            await self._count(note)

    async def _succeeded(self, attempt: _Attempt) -> None:
        note = {"$set": {"expires_at": self._now() + _LATELY}}
        with answered():
            await self._notes.delete_one({"_id": attempt.at_account})
            await self._notes.update_one({"_id": attempt.trusted}, note, upsert=True)

    async def _count(self, note: str) -> None:
        time = self._now()
        running, again = {"_id": note, "expires_at": {"$gt": time}}, {"$inc": {"failures": 1}}
        over, first = {"_id": note, "expires_at": {"$lte": time}}, {"failures": 1, "expires_at": time + _WINDOW}
        with answered():
            if (await self._notes.update_one(running, again)).matched_count:
                return
            try:
                await self._notes.update_one(over, {"$set": first}, upsert=True)
            except DuplicateKeyError:  # another process has just counted the first
                await self._notes.update_one(running, again)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The ids of the notes that a login looks at."""

    at_account: str
    anywhere: str
    by_anyone: str
    trusted: str

    @classmethod
    def of(cls, email: str, address: str) -> _Attempt:
        account, network = digest(email.lower()), _network(address)
        pair = f"{account} {network}"
        return cls(f"failed {pair}", f"failed {network}", f"failed {account}", f"known {pair}")

    @property
    def counted(self) -> tuple[str, str, str]:
        return (self.at_account, self.anywhere, self.by_anyone)

    @property
    def notes(self) -> list[str]:
        return [*self.counted, self.trusted]


def _network(address: str) -> str:
    """Whoever has one IPv6 address has 2**64 of them."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)

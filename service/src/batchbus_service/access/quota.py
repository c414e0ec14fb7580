"""How much each user or service may have of what the database counts: unfinished jobs, and bytes of uploads.

Nothing is counted for each job or piece of a file. After a count, a process lets an owner take a part of what there is room for,
and counts again when that is used up. So the owners that never come near their limit cost nothing but a count now and then, and
an owner at the limit costs no more than a tenth of the database's time. Decision 27 says how exact that is.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Quota", "Taking"]

_STEP: Final = 100
"""A process lets an owner take one part in so many of the limit before it counts for the first time, and between two counts."""
_PART: Final = 4
"""Of the room that a count has found, it lets an owner take one part in so many: so many processes may count at the same moment."""
_COUNTING_SHARE: Final = 0.1
"""Near the limit, counting takes no more of the time than this."""
_REFUSED_SECONDS: Final = 1.0
"""For so long a refusal stands without another count."""
_OWNERS: Final = 10_000
"""Owners that a process remembers."""


@dataclass(slots=True)
class _Account:
    """What a process knows of one owner."""

    allowance: int
    """What may be taken before it is counted again."""
    pending: int = 0
    """What was taken, and may not be in the database yet."""
    count_at: float = 0.0
    """When it may be counted again, on the monotonic clock."""
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quota:
    """A limit on what each owner may have. One per process."""

    def __init__(
        self,
        most: int,
        count: Callable[[str, int], Awaitable[int]],
        refusal: Callable[[int, int], Exception],
        *,
        remembered: int = _OWNERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`count(owner, up_to)`: how much the database has of the owner, not counted beyond `up_to`.

        `refusal(most, seconds)`: the error for an owner who may have no more, and may ask again after so many seconds.
        `remembered`: how many owners it keeps in mind; those that were there first make way.
        """
        self.most = most
        self._count = count
        self._refusal = refusal
        self._clock = clock
        self._remembered = remembered
        self._step = most // _STEP
        self._accounts: dict[str, _Account] = {}

    @property
    def owners(self) -> list[str]:
        """Those that it keeps in mind."""
        return list(self._accounts)

    @asynccontextmanager
    async def taking(self, owner: str) -> AsyncIterator[Taking]:
        """Take something while the context is open; when it closes, the database has it, or it was given up."""
        account = self._account(owner)
        taking = Taking(self, owner, account)
        try:
            yield taking
        finally:
            account.pending -= taking.amount

    async def require(self, owner: str, amount: int = 1) -> None:
        """Raise what `refusal` returns if the owner may have no more, and what `count` raises. Nothing is taken."""
        await self._allow(owner, self._account(owner), amount)

    def freed(self, owner: str) -> None:
        """The owner has less than before: a refusal does not stand any longer."""
        if account := self._accounts.get(owner):
            account.count_at = 0.0

    async def take(self, owner: str, account: _Account, amount: int) -> None:
        """For `Taking` alone."""
        await self._allow(owner, account, amount)
        account.allowance -= amount
        account.pending += amount

    def _account(self, owner: str) -> _Account:
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = _Account(self._step)
            if len(self._accounts) > self._remembered:
                del self._accounts[next(iter(self._accounts))]
        return account

    async def _allow(self, owner: str, account: _Account, amount: int) -> None:
        if account.allowance >= amount:
            return
        async with account.counting:
            if account.allowance >= amount:
                return  # somebody else has counted meanwhile
            began = self._clock()
            if began < account.count_at:
                raise self._refusal(self.most, math.ceil(account.count_at - began))
            pending = account.pending
            room = self.most - pending - await self._count(owner, self.most)
            ended = self._clock()
            pause = (ended - began) / _COUNTING_SHARE if room < self._step else 0.0
            if room < amount:
                account.allowance = 0
                account.count_at = ended + max(pause, _REFUSED_SECONDS)
                raise self._refusal(self.most, math.ceil(max(pause, _REFUSED_SECONDS)))
            account.allowance = min(room, max(amount, room // _PART, self._step))
            account.count_at = ended + pause


class Taking:
    """What one request takes of its owner's quota."""

    def __init__(self, quota: Quota, owner: str, account: _Account) -> None:
        self._quota = quota
        self._owner = owner
        self._account = account
        self.amount = 0
        """What it has taken so far."""

    async def take(self, amount: int = 1) -> None:
        """Take so much more. Raises what `Quota.require` raises."""
        await self._quota.take(self._owner, self._account, amount)
        self.amount += amount

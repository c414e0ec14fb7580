"""Slots: how many jobs a worker pre-processes and processes at a time, and how many of them each user or service may hold.

Whoever is alone may hold them all. As soon as others have jobs here, too, each may take no more than an equal part: a job that
has begun is not interrupted, but the next slot that comes free is another's.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from batchbus_service.domain.signal import Signal
from batchbus_strategies import Phase

__all__ = ["Permit", "Slots"]


_LATELY: Final = 10.0
"""Seconds for which room is left for an owner whose jobs have all been taken, as the next one may come soon."""


class Slots:
    """One per worker. Previews (`pre_process`) and runs (`process`) have slots of their own, so that neither waits for the other."""

    def __init__(self, sizes: Mapping[Phase, int]) -> None:
        self._sizes = dict(sizes)
        self._waiters: dict[Phase, deque[tuple[str, asyncio.Future[Permit]]]] = {phase: deque() for phase in sizes}
        self._freed_at: dict[Phase, float] = dict.fromkeys(sizes, -math.inf)
        self._held: dict[Phase, Counter[str]] = {phase: Counter() for phase in sizes}
        self._seen: dict[str, float] = {}
        """When each owner last had a job here that wanted a slot, on the loop's clock; those of long ago are left out."""
        self._closed = False
        self.freed: Signal[Phase] = Signal()
        """The phase of a slot that has come free and was not waited for."""

    def size(self, phase: Phase) -> int:
        """How many there are, free and taken."""
        return self._sizes[phase]

    def free(self, phase: Phase) -> int:
        return self._sizes[phase] - self._held[phase].total()

    def want(self, owner: str) -> None:
        """A job of the owner waits for a slot: for a while, the others have to leave room for it."""
        self._seen[owner] = asyncio.get_running_loop().time()

    def may(self, phase: Phase, owner: str) -> bool:
        """Whether the owner has not got their part of the slots yet."""
        return self._held[phase][owner] < self._part(phase, owner)

    def _part(self, phase: Phase, owner: str) -> int:
        """How many slots the owner may hold, beside those who hold some, or wanted some lately."""
        self.want(owner)
        since = asyncio.get_running_loop().time() - _LATELY
        self._seen = {each: at for each, at in self._seen.items() if at > since}
        owners = self._seen.keys() | {each for held in self._held.values() for each in held}
        return max(1, math.ceil(self._sizes[phase] / len(owners)))

    def take(self, phase: Phase, owner: str) -> Permit | None:
        """A slot, until its permit is given back; None if all are taken, or the owner has their part."""
        if not self.may(phase, owner) or not self.free(phase):
            return None
        return self._permit(phase, owner)

    async def take_within(self, phase: Phase, owner: str, seconds: float) -> Permit | None:
        """A slot, as soon as one is free; None if none is in time, or the owner has their part. First come, first served."""
        if (permit := self.take(phase, owner)) is not None:
            return permit
        part = self._part(phase, owner)
        if self._held[phase][owner] >= part and part < self._sizes[phase]:
            return None
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters[phase].append((owner, waiter))
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        except asyncio.CancelledError:
            if waiter.done():
                waiter.result().release()
            raise
        finally:
            if not waiter.done():
                self._waiters[phase].remove((owner, waiter))
        return waiter.result() if waiter.done() else None

    def frees_within(self, phase: Phase, within: float) -> bool:
        """Whether a slot has come free in the last `within` seconds, so that another may be expected soon."""
        return not self._closed and asyncio.get_running_loop().time() - self._freed_at[phase] < within

    def close(self) -> None:
        """No run is begun here any more: nobody needs to wait for a slot that comes free."""
        self._closed = True

    def give_back(self, phase: Phase, owner: str) -> None:
        """For `Permit` alone."""
        self._freed_at[phase] = asyncio.get_running_loop().time()
        self._held[phase][owner] -= 1
        if not self._held[phase][owner]:
            del self._held[phase][owner]
        if self._waiters[phase]:
            next_owner, waiter = self._waiters[phase].popleft()
            waiter.set_result(self._permit(phase, next_owner))
            return
        self.freed.send(phase)

    def _permit(self, phase: Phase, owner: str) -> Permit:
        self._held[phase][owner] += 1
        return Permit(self, phase, owner)


class Permit:
    """One taken slot."""

    def __init__(self, slots: Slots, phase: Phase, owner: str) -> None:
        self._slots: Slots | None = slots
        self._owner = owner
        self.phase: Phase = phase

    def release(self) -> None:
        """Free the slot. Does nothing the second time."""
        if self._slots:
            slots, self._slots = self._slots, None
            slots.give_back(self.phase, self._owner)

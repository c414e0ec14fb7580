"""Slots: how many jobs a worker pre-processes and processes at a time."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping

from batchbus_service.domain.signal import Signal
from batchbus_strategies import Phase

__all__ = ["Permit", "Slots"]


class Slots:
    """Previews (`pre_process`) and runs (`process`) have slots of their own, so that neither waits for the other."""

    def __init__(self, sizes: Mapping[Phase, int]) -> None:
        self._sizes = dict(sizes)
        self._free = dict(sizes)
        self._waiters: dict[Phase, deque[asyncio.Future[Permit]]] = {phase: deque() for phase in sizes}
        self._freed_at: dict[Phase, float] = dict.fromkeys(sizes, -math.inf)
        self._closed = False
        self.freed: Signal[Phase] = Signal()
        """The phase of a slot that has come free and was not waited for."""

    def size(self, phase: Phase) -> int:
        """How many there are, free and taken."""
        return self._sizes[phase]

    def free(self, phase: Phase) -> int:
        return self._free[phase]

    def take(self, phase: Phase) -> Permit | None:
        """A slot, until its permit is given back; None if all are taken."""
        if self._free[phase] == 0:
            return None
        self._free[phase] -= 1
        return Permit(self, phase)

    async def take_within(self, phase: Phase, seconds: float) -> Permit | None:
        """A slot, as soon as one is free; None if none is in time. First come, first served."""
        if (permit := self.take(phase)) is not None:
            return permit
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters[phase].append(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        except asyncio.CancelledError:
            if waiter.done():
                waiter.result().release()
            raise
        finally:
            if not waiter.done():
                self._waiters[phase].remove(waiter)
        return waiter.result() if waiter.done() else None

    def frees_within(self, phase: Phase, within: float) -> bool:
        """Whether a slot has come free in the last `within` seconds, so that another may be expected soon."""
        return not self._closed and asyncio.get_running_loop().time() - self._freed_at[phase] < within

    def close(self) -> None:
        """No run is begun here any more: nobody needs to wait for a slot that comes free."""
        self._closed = True

    def give_back(self, phase: Phase) -> None:
        self._freed_at[phase] = asyncio.get_running_loop().time()
        if self._waiters[phase]:
            self._waiters[phase].popleft().set_result(Permit(self, phase))
            return
        self._free[phase] += 1
        self.freed.send(phase)


class Permit:
    """One taken slot."""

    def __init__(self, slots: Slots, phase: Phase) -> None:
        self._slots: Slots | None = slots
        self.phase: Phase = phase

    def release(self) -> None:
        """Free the slot. Does nothing the second time."""
        if self._slots:
            slots, self._slots = self._slots, None
            slots.give_back(self.phase)

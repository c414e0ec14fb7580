"""Gives the runs of this process permits under limits that hold over all workers."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batchbus_events.backoff import Backoff
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.permits import Reserved, reserve
from batchbus_service.domain.ports import Clock, PermitStore
from batchbus_service.execution.worker_services import Grant

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Limiter"]

_LAPSE_SECONDS: Final = 0.05
"""How long after its moment a permit that was reserved in advance may be given away: late ones would come in a burst."""
_SHARE: Final = 0.1
"""The most of a window that is reserved in advance, which is what others may miss."""
_MANY: Final = 1000
"""Names beyond which those that nobody waits for are forgotten."""


@dataclass(slots=True)
class _Limit:
    """One name in this process. Only who has the lock reserves, so that the others find what is reserved for them."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    granted: deque[Grant] = field(default_factory=deque)
    """Reserved, and not given away yet, the earliest first."""
    per_second: float = 0.0
    """What these were reserved under."""
    batch: int = 1
    """How many to reserve at once: twice as many after each batch that was used up, half as many after one that was not."""


class Limiter:
    """One per process. It reserves as many permits at once as runs wait for, and more where they come one after the other."""

    def __init__(self, store: PermitStore, clock: Clock, log: FilteringBoundLogger) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._limits: dict[str, _Limit] = {}
        self._differing: set[tuple[str, float, float]] = set()

    async def permit(self, name: str, per_second: float) -> Grant:
        """One permit, which may lie in the future; who was first gets the earliest. Outages of the database are waited out."""
        limit = self._limits.setdefault(name, _Limit())
        limit.waiting += 1
        try:
            async with limit.lock:
                return self._in_advance(limit, per_second) or await self._reserved(limit, name, per_second)
        finally:
            limit.waiting -= 1
            if len(self._limits) > _MANY:
                self._forget_idle()

    def _in_advance(self, limit: _Limit, per_second: float) -> Grant | None:
        """What is left of the last batch, without what has lapsed."""
        if not limit.granted:
            return None
        late = self._clock.monotonic() - _LAPSE_SECONDS
        if limit.granted[0].at < late or per_second < limit.per_second:
            limit.batch = max(1, limit.batch // 2)
        while limit.granted and (limit.granted[0].at < late or per_second < limit.per_second):
            limit.granted.popleft()
        if not limit.granted:
            return None
        if len(limit.granted) == 1:
            limit.batch *= 2
        return limit.granted.popleft()

    async def _reserved(self, limit: _Limit, name: str, per_second: float) -> Grant:
        backoff = Backoff()
        while True:
            limit.batch = max(1, min(limit.batch, int(per_second * _SHARE)))
            try:
                reserved = await self._reserve(name, per_second, max(limit.batch, limit.waiting))
            except StoreUnavailable as error:
                self._log.warning("no_permits", limit=name, reason=str(error))
                await backoff.wait()
                continue
            self._tell_of_differing(reserved, per_second)
            # From the server's time to the stopwatch of this machine, which children share.
            offset = self._clock.monotonic() - self._clock.now().timestamp()
            if reserved.moments:
                until = reserved.until + offset
                limit.granted = deque(Grant(moment + offset, until) for moment in reserved.moments)
                limit.per_second = per_second
                if len(limit.granted) == 1 and limit.batch == 1:
                    limit.batch = 2
                return limit.granted.popleft()
            await asyncio.sleep(max(0.0, reserved.until + offset - self._clock.monotonic()))

    async def _reserve(self, name: str, per_second: float, want: int) -> Reserved:
        while True:
            stored = await self._store.get(name)
            reserved = reserve(stored, name, per_second, self._clock.now().timestamp(), want)
            if reserved.window == stored or await self._store.write(stored, reserved.window):
                return reserved

    def _tell_of_differing(self, reserved: Reserved, per_second: float) -> None:
        held = reserved.window.per_second
        differing = (reserved.window.name, per_second, held)
        if held < per_second and differing not in self._differing:
            self._differing.add(differing)
            self._log.warning("limits_differ", limit=reserved.window.name, per_second=per_second, holds=held)

    def _forget_idle(self) -> None:
        self._differing.clear()
        for name in [name for name, limit in self._limits.items() if not limit.waiting]:
            del self._limits[name]

"""Which processes live: each says so in the database every few seconds, and looks who else has.

An event is published by the process that wrote it. When that takes long, the others have to know whether it is slow or
gone: what a living process wrote is left to it, however busy it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.ports import Clock, ProcessStore
from batchbus_service.telemetry.background import Background, Periodic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Presence"]

_SIGNS: Final = 8
"""How often a process says that it lives in the time after which it counts as gone."""
_NAME: Final = "signs of life"


class Presence(Lifetime):
    """One per process, under the name with which it holds leases. `lasts`: how long a sign of life counts."""

    def __init__(
        self,
        store: ProcessStore,
        clock: Clock,
        name: str,
        log: FilteringBoundLogger,
        *,
        lasts: timedelta,
        background: Background | None = None,
    ) -> None:
        self.name = name
        self._store = store
        self._clock = clock
        self._log = log
        self._lasts = lasts
        self._others: Mapping[str, datetime] = {}
        self._looked_at = float("-inf")
        every = lasts.total_seconds() / _SIGNS
        self._signs = Periodic(
            background or Background(log), _NAME, self._give_a_sign, every=every, pause_first=True, on_time=True
        )

    async def start(self) -> None:
        """Raises: `StoreUnavailable`."""
        await self._renew()
        await self._signs.start()

    async def close(self) -> None:
        """To be called when everything is published: what is left then is for the others."""
        await self._signs.close()
        try:
            await self._store.leave(self.name)
        except StoreUnavailable as error:
            self._log.warning("process_not_signed_off", reason=str(error))

    def lives(self, name: str) -> bool:
        """Whether that process has given a sign of life lately. While the database cannot be asked, or its clock
        was set a moment ago, everybody counts as alive."""
        if self._clock.monotonic() - self._looked_at > self._lasts.total_seconds() / 2 or not self._clock.settled():
            return True
        until = self._others.get(name)
        return until is not None and self._clock.now() < until

    async def _give_a_sign(self) -> None:
        try:
            await self._renew()
        except StoreUnavailable as error:
            self._log.warning("no_sign_of_life", reason=str(error))

    async def _renew(self) -> None:
        asked = self._clock.monotonic()
        # Side by side: where each call waits for seconds, signs that wait for looks would come too late for the others.
        sign = self._store.renew(self.name, self._clock.now() + self._lasts)
        _, self._others = await asyncio.gather(sign, self._store.present())
        self._looked_at = asked

"""Which processes live: each says so in the database every few seconds, and looks who else has.

An event is published by the process that wrote it. When that takes long, the others have to know whether it is slow or
gone: what a living process wrote is left to it, however busy it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.ports import Clock, ProcessStore
from batchbus_service.domain.ports.server import Sign
from batchbus_service.telemetry.background import Background, Periodic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Presence"]

_SIGNS: Final = 8
"""How often a process says that it lives in the time after which it counts as gone."""
_NAME: Final = "signs of life"
_REMEMBERED: Final = 1000
"""Batch types that are kept in mind as served."""


class Presence(Lifetime):
    """One per process, under the name with which it holds leases. `lasts`: how long a sign of life counts.

    `types`: the batch types whose jobs this process runs.
    """

    def __init__(
        self,
        store: ProcessStore,
        clock: Clock,
        name: str,
        log: FilteringBoundLogger,
        *,
        lasts: timedelta,
        types: Sequence[str] = (),
        background: Background | None = None,
    ) -> None:
        self.name = name
        self._store = store
        self._clock = clock
        self._log = log
        self._lasts = lasts
        self._types = tuple(types)
        self._served: dict[str, float] = {}
        """Until when, on the stopwatch, a batch type counts as served by another process."""
        self._others: Mapping[str, Sign] = {}
        self._looked_at = float("-inf")
        self._every = every = lasts.total_seconds() / _SIGNS
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
        sign = self._others.get(name)
        return sign is not None and self._clock.now() < sign.until

    async def serves(self, job_type: str) -> bool:
        """Whether some process that lives runs jobs of this type. Raises: `StoreUnavailable`.

        One that does not say what it runs, as those of earlier versions, counts as running everything; and while nobody
        knows who lives, since the database's clock was set a moment ago, every type counts as served.
        """
        asked = self._clock.monotonic()
        if job_type in self._types or self._served.get(job_type, 0.0) > asked or not self._clock.settled():
            return True
        present, now = await self._store.present(), self._clock.now()
        found = any(now < sign.until and (sign.types is None or job_type in sign.types) for sign in present.values())
        if found:
            self._served = {**dict(list(self._served.items())[-_REMEMBERED:]), job_type: asked + self._every}
        return found

    async def _give_a_sign(self) -> None:
        try:
            await self._renew()
        except StoreUnavailable as error:
            self._log.warning("no_sign_of_life", reason=str(error))

    async def _renew(self) -> None:
        asked = self._clock.monotonic()
        # Side by side: where each call waits for seconds, signs that wait for looks would come too late for the others.
        sign = self._store.renew(self.name, self._clock.now() + self._lasts, self._types)
        _, self._others = await asyncio.gather(sign, self._store.present())
        self._looked_at = asked

"""Clocks: the time of day as the database server has it, and a monotonic stopwatch."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.instants import to_ms
from batchbus_service.domain.ports import DatabaseServer
from batchbus_service.telemetry.background import Background, Periodic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["MEASURED_BY", "ServerClock", "SystemClock"]

_STOPWATCH: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while the machine sleeps, where there is such a clock: a lease runs out meanwhile."""
_NEGLIGIBLE: Final = 0.05
"""Seconds below which there is nothing to correct: the jitter of a round trip."""
_MEASURE_EVERY: Final = 30.0
_STEP: Final = 1.0
"""Seconds from which on it is no drift: somebody has set the server's clock, or another server has taken over."""
MEASURED_BY: Final = _MEASURE_EVERY + 20.0
"""Seconds after which every process has learned of that, though the database answers slowly. Then it renews its leases."""
_DRIFT: Final = 2e-4
"""By how much of the time between two measurements a stopwatch and the server's clock may have drifted apart."""
_FRESH: Final = 1.0
"""Seconds for which a measurement is as good as a new one."""
_EXACT: Final = 2.0
"""By how many seconds the time may be wrong for leases to be judged by it: little of what a lease has left when it is
renewed."""


class SystemClock:
    """This machine's clock."""

    def now(self) -> datetime:
        return to_ms(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.clock_gettime(_STOPWATCH)

    def settled(self) -> bool:
        return True

    def trusted(self) -> bool:
        return True

    async def sure(self, *, within: float = _EXACT) -> bool:
        return True


class ServerClock(SystemClock):
    """Time as the database server has it: `measure` asks for it, and a stopwatch counts on from there.

    So it does not matter if somebody sets this machine's clock. That of the server may be set, too: then the processes
    learn of it one after the other, and none may judge by its own time what another has written, until all know.
    """

    def __init__(
        self,
        server: DatabaseServer,
        log: FilteringBoundLogger,
        *,
        renewed_every: float = 10.0,
        measured_by: float = MEASURED_BY,
    ) -> None:
        """`renewed_every`: seconds within which a process writes each of its leases anew. `measured_by`: seconds within
        which every process learns that the clock was set.
        """
        self._server = server
        self._log = log
        self._all_know = measured_by + renewed_every
        self._zero = datetime.now(UTC) - timedelta(seconds=self.monotonic())
        """The server's time when the stopwatch was at 0."""
        self._zero_within = 0.0
        """By how many seconds that may be wrong, when it was measured last."""
        self._proven_within = float("inf")
        """By how many seconds it may be wrong according to the last answer alone: what was known before that counts for
        nothing if somebody has set the server's clock since."""
        self._measured_at: float | None = None
        self._settled_at = float("-inf")
        self._trusted_at = float("inf")
        self._measuring: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        return to_ms(self._zero + timedelta(seconds=self.monotonic()))

    async def measure(self) -> None:
        """Ask the server for its time; half of the round trip is taken for the way back. Raises `StoreUnavailable`."""
        asked = self.monotonic()
        server_time = await self._server.time()
        answered = self.monotonic()
        zero = server_time - timedelta(seconds=(asked + answered) / 2)
        # The server looked at its clock at any time of the round trip, so a slow answer says little.
        within = (answered - asked) / 2
        if self._measured_at is None:
            # It may have been set just before this process began: the others have to learn of that, too.
            self._zero, self._zero_within = zero, within
            self._trusted_at = answered + self._all_know
        else:
            self._correct(zero, within, self._zero_within + _DRIFT * (answered - self._measured_at), answered)
        self._measured_at = answered
        self._proven_within = within + abs((zero - self._zero).total_seconds())

    def _correct(self, zero: datetime, within: float, known_within: float, answered: float) -> None:
        """Of what is known and what was measured, the more exact one stays, unless they contradict each other."""
        off = abs((zero - self._zero).total_seconds())
        contradiction = off - within - known_within
        if contradiction > _NEGLIGIBLE or (within < known_within and off > _NEGLIGIBLE):
            if contradiction > _STEP:
                self._settled_at = self._trusted_at = answered + self._all_know
                self._log.warning("database_clock_was_set", seconds=round((zero - self._zero).total_seconds(), 3))
            self._zero, self._zero_within = zero, within
        else:
            self._zero_within = min(known_within, within + off)

    def settled(self) -> bool:
        return self.monotonic() >= self._settled_at

    def trusted(self) -> bool:
        return self.monotonic() >= self._trusted_at

    async def sure(self, *, within: float = _EXACT) -> bool:
        if self._measured_at is None or self.monotonic() - self._measured_at > _FRESH:
            if self._measuring is None or self._measuring.done():
                self._measuring = asyncio.create_task(self.measure(), name="comparing clocks")
            try:
                await asyncio.shield(self._measuring)
            except StoreUnavailable as error:
                self._log.warning("clock_not_compared", reason=str(error))
                return False
        return self.trusted() and self._proven_within <= within

    def kept_right(self, background: Background) -> Periodic:
        """Measures again and again, since clocks drift apart and are set."""
        return Periodic(background, "comparing clocks", self._compare, every=_MEASURE_EVERY, pause_first=True)

    async def _compare(self) -> None:
        try:
            await self.measure()
        except StoreUnavailable as error:
            self._log.warning("clock_not_compared", reason=str(error))

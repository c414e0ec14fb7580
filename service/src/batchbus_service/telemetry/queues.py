"""How full the queues of batchbus are: asked of the broker now and then, so that readers never wait."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, BusError, QueueState
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.telemetry.background import Background, Periodic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["QueueDepths"]

_QUEUES: Final = (topics.TRIGGERS_QUEUE.name, topics.HELD_QUEUE.name, topics.PARKED_QUEUE.name)
_EVERY: Final = 10.0


class QueueDepths(Lifetime):
    """One per process."""

    queues: Sequence[str] = _QUEUES

    def __init__(self, bus: Bus, log: FilteringBoundLogger, *, background: Background | None = None) -> None:
        self._bus = bus
        self._log = log
        self._known: dict[str, QueueState | None] = {}
        self._asking = Periodic(background or Background(log), "queue depths", self._ask, every=_EVERY)

    async def start(self) -> None:
        await self._asking.start()

    async def close(self) -> None:
        await self._asking.close()

    def messages(self, queue: str) -> float:
        """How many wait in it; NaN if that is not known."""
        state = self._known.get(queue)
        return nan if state is None or state.messages is None else state.messages

    def consumers(self, queue: str) -> float:
        """How many it has; NaN if that is not known."""
        state = self._known.get(queue)
        return nan if state is None or state.consumers is None else state.consumers

    async def _ask(self) -> None:
        for queue in self.queues:
            try:
                self._known[queue] = await self._bus.inspect(queue)
            except BusError as error:
                self._known.pop(queue, None)
                self._log.debug("queue_not_inspected", queue=queue, reason=str(error))

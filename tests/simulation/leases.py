"""Nobody takes a lease away from a worker that is well, whatever the clocks say."""

from __future__ import annotations

import asyncio
from typing import Final

from batchbus_service.domain.job import Job
from tests.engine.world import World
from tests.simulation.checks import Violation

__all__ = ["Leases"]

_FRESH: Final = 15.0
"""Seconds after a lease was renewed for which it is over by no clock, however long the renewal was on its way."""
_WELL_SINCE: Final = 35.0
"""Seconds after a process was frozen from which on it has written no lease that was old when it arrived."""


class Leases:
    """When each lease was renewed, in the time of the simulation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._renewed: dict[str, float] = {}

    def look_at(self, old: Job | None, new: Job) -> None:
        """Called at every write of a job. Raises `Violation`."""
        now = asyncio.get_running_loop().time()
        if old is not None and old.lease and new.lost_runs > old.lost_runs:
            renewed = now - self._renewed.get(new.id, float("-inf"))
            if renewed < _FRESH and self._is_well(old.lease.worker, now):
                raise Violation(f"{new.id}: its lease was taken away {renewed:.1f} s after its worker had renewed it")
        if new.lease and (old is None or new.lease != old.lease):
            self._renewed[new.id] = now

    def _is_well(self, worker: str, now: float) -> bool:
        fates = [process.faults.fate for process in self._world.processes if process.name == worker]
        return any(
            not fate.crashed and (not fate.frozen_until or fate.frozen_until < now - _WELL_SINCE) for fate in fates
        )

"""Leases that this process has itself seen unrenewed for as long as a lease lasts.

What it judges by is its stopwatch alone. So it may take a job over even when the database's clock was set a moment ago,
or may have been before this process began: whoever holds such a lease has let it run out by any clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from batchbus_service.domain.job import Job, Lease

__all__ = ["UnrenewedLeases"]


class UnrenewedLeases:
    """All leases last equally long: a holder that lives renews its lease within that time."""

    def __init__(self, lasts: timedelta) -> None:
        self._lasts = lasts.total_seconds()
        self._seen: dict[str, tuple[Lease, float]] = {}
        """By job: its lease as it was seen last, and on the stopwatch, since when."""

    def look_at(self, jobs: Iterable[Job], at: float) -> None:
        for job in jobs:
            if job.lease and (job.id not in self._seen or self._seen[job.id][0] != job.lease):
                self._seen[job.id] = (job.lease, at)

    def has_run_out(self, job: Job, at: float) -> bool:
        lease, since = self._seen.get(job.id, (None, at))
        return lease is not None and lease == job.lease and at - since > self._lasts

    def next_end(self, at: float) -> float:
        """In how many seconds the first of the leases has run out, if it is not renewed; infinite if there is none."""
        ends = (since + self._lasts - at for _, since in self._seen.values())
        return min((seconds for seconds in ends if seconds > 0), default=math.inf)

    def forget(self) -> None:
        self._seen.clear()

"""Leases that this process has itself seen unrenewed for as long as a lease lasts.

What it judges by is its stopwatch alone. So it may take a job over even when the database's clock was set a moment ago,
or may have been before this process began: whoever holds such a lease has let it run out by any clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from batchbus_service.domain.job import Job, Lease

__all__ = ["EndedLeases", "UnrenewedLeases"]


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


class EndedLeases:
    """Leases that had ended before they were written, by the time of this process.

    Whoever wrote such a lease has a clock that is behind: the database's was set back when that process asked for the
    time, and set right again before this one did. Nothing tells this process that it was ever wrong, but that at its last
    look the lease was not there, and should have been found.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Lease, bool]] = {}
        """By job: a lease that was over at the last look, and whether it came like that."""
        self._all_until: datetime | None = None
        """Up to this time, the last look has found all that were over; None if there were too many."""

    def note(self, jobs: Iterable[Job], now: datetime, *, all_of_them: bool) -> None:
        """What a look has found. `all_of_them`: whether there is nothing else that is due."""
        ended: dict[str, tuple[Lease, bool]] = {}
        for job in jobs:
            if job.lease is None or job.lease.expires_at > now:
                continue
            lease, came_ended = self._known.get(job.id, (None, False))
            if lease != job.lease:
                came_ended = self._all_until is not None and job.lease.expires_at < self._all_until
            ended[job.id] = (job.lease, came_ended)
        self._known = ended
        self._all_until = now if all_of_them else None

    def came_ended(self, job: Job) -> bool:
        lease, came_ended = self._known.get(job.id, (None, False))
        return came_ended and lease == job.lease

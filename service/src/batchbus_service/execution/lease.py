"""The lease of one attempt, as its process knows it: until when it lasts, on the monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchbus_service.domain.ports import Clock
from batchbus_service.domain.signal import Signal

if TYPE_CHECKING:
    from batchbus_service.domain.job import Job

__all__ = ["Lease"]


class Lease:
    """One per attempt, shared by all that depends on it. The job's document has the same lease, in the time of day."""

    def __init__(self, clock: Clock, ends: float, *, lasts: float = 0.0) -> None:
        """`ends`: on the monotonic clock, in seconds. `lasts`: for how long this process may renew it."""
        self._clock = clock
        self._ends = ends
        self._lasts = lasts
        self.renewed: Signal[float] = Signal()
        """The new end, after each renewal."""

    @classmethod
    def of(cls, job: Job, clock: Clock, *, lasts: float) -> Lease:
        """The lease that a claim has granted. The write that granted it may have been answered late."""
        assert job.lease is not None
        ends = clock.monotonic() + (job.lease.expires_at - clock.now()).total_seconds()
        return cls(clock, ends, lasts=lasts)

    @property
    def ends(self) -> float:
        """On the monotonic clock, in seconds."""
        return self._ends

    @property
    def expired(self) -> bool:
        """Whether another worker may have taken the job by now."""
        return self._clock.monotonic() >= self._ends

    def if_renewed(self) -> float:
        """When it would end if it were renewed now. To be asked before the write that renews it."""
        return self._clock.monotonic() + self._lasts

    def renew(self, ends: float) -> None:
        """A write has renewed the lease. `ends` counts from before that write, since its answer may have come late."""
        self._ends = ends
        self.renewed.send(ends)

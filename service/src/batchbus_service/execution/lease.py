"""The lease of one attempt, as its process knows it: until when it lasts, on the monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from batchbus_service.domain.ports import Clock

if TYPE_CHECKING:
    from batchbus_service.domain.job import Job

__all__ = ["Lease"]


class Lease:
    """One per attempt, shared by all that depends on it. The job's document has the same lease, in the time of day."""

    def __init__(self, clock: Clock, ends: float) -> None:
        """`ends`: on the monotonic clock, in seconds."""
        self._clock = clock
        self._ends = ends
        self._renewed: Callable[[float], None] = lambda ends: None

    @classmethod
    def of(cls, job: Job, clock: Clock) -> Lease:
        """The lease that a claim has granted. The write that granted it may have been answered late."""
        assert job.lease is not None
        return cls(clock, clock.monotonic() + (job.lease.expires_at - clock.now()).total_seconds())

    @property
    def ends(self) -> float:
        """On the monotonic clock, in seconds."""
        return self._ends

    @property
    def expired(self) -> bool:
        """Whether another worker may have taken the job by now."""
        return self._clock.monotonic() >= self._ends

    def renew(self, ends: float) -> None:
        """A write has renewed the lease. `ends` counts from before that write, since its answer may have come late."""
        self._ends = ends
        self._renewed(ends)

    def on_renewed(self, renewed: Callable[[float], None]) -> None:
        """Have the end told after each renewal, to a process that has no other way to know it."""
        self._renewed = renewed

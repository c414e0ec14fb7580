"""What a process has to publish of one job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from batchbus_service.domain.job import HistoryEntry, Job

__all__ = ["Pending"]


@dataclass(slots=True, eq=False)
class Pending:
    """What this process has to publish of one job, and how far it has got."""

    job: Job
    done: int
    own: set[int] = field(default_factory=set)
    """The entries that this process wrote; the others are for their writers to publish, until their time is over."""
    others: dict[int, str | None] = field(default_factory=dict)
    """Which process wrote each entry that is not our own, as far as that is known."""
    publishing: asyncio.Task[None] | None = None
    lost: Job | None = None
    """The job as it was known when another process had taken it over, which may have published what was written here."""

    @property
    def owes(self) -> bool:
        """Whether entries that this process wrote are not published."""
        return any(seq > self.done for seq in self.own)

    def may_be_out(self, entry: HistoryEntry) -> bool:
        """Whether another process has taken the job over since the entry was written, and may have published it."""
        return self.lost is not None and entry.seq <= len(self.lost.history)

    def ready_from(self, entry: HistoryEntry) -> Sequence[HistoryEntry]:
        """The entry, and those behind it that can be published without another look."""
        behind = self.job.history[entry.seq :]
        return [entry, *takewhile(lambda each: each.seq in self.own and not self.may_be_out(each), behind)]

"""The job store in one process: for tests and simulations. It keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder, why_not_kept
from batchbus_service.domain.errors import JobExists, StoreError, TooLarge
from batchbus_service.domain.job import Job, got_on, work_queue
from batchbus_service.domain.ports import Answer, JobWrite, Renewal
from batchbus_service.domain.ports.jobs import WRITTEN_BY_HEARTBEATS, write_one
from batchbus_service.domain.ports.server import Sign
from batchbus_service.storage.mongo.codec import encoded
from batchbus_service.storage.mongo.document import to_document
from batchbus_strategies import Phase

__all__ = ["MemoryJobStore", "MemoryProcessStore"]

_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024


class MemoryJobStore:
    """`JobStore` in a dict, with MongoDB's limit on the size of a document."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        """By id; for tests to look at."""
        self.placeholders: dict[str, Placeholder] = {}

    async def prepare(self) -> None:
        pass

    async def insert(self, job: Job) -> None:
        if job.id in self.jobs or job.id in self.placeholders:
            raise JobExists(job.id)
        self._put(job)

    async def get(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        stored = self.jobs.get(old.id)
        if stored is None or stored.version != old.version or (same_lease and stored.lease != old.lease):
            return False
        # Only what differs is written, as in the database: a heartbeat since the read is not undone.
        changed = {name: getattr(new, name) for name in _FIELDS if getattr(new, name) != getattr(old, name)}
        changed |= {name: getattr(new, name) for name in ("wake_at", *(WRITTEN_BY_HEARTBEATS if by_owner else ()))}
        changed["published"] = max(stored.published, new.published)
        self._put(replace(stored, **changed))
        return True

    async def renew(self, renewal: Renewal) -> bool:
        stored = self.jobs.get(renewal.job_id)
        if stored is None or stored.fence != renewal.fence or stored.lease is None:
            return False
        lease = replace(stored.lease, expires_at=renewal.expires_at)
        published = max(stored.published, renewal.published)
        renewed = replace(stored, lease=lease, result=renewal.result, published=published)
        if renewal.checkpoint:
            renewed = replace(got_on(renewed), checkpoint=renewal.checkpoint)
        self._put(renewed)
        return True

    async def settle(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if (stored := self.jobs.get(job.id)) is None:
                continue
            wake_at = job.wake_at if stored.version == job.version else stored.wake_at
            self.jobs[job.id] = replace(stored, published=max(stored.published, job.published), wake_at=wake_at)

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        return [await self._answer(write) for write in writes]

    async def _answer(self, write: JobWrite) -> Answer:
        try:
            return await write_one(self, write)
        except StoreError as error:
            return error

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        stored = self.jobs.get(job.id)
        if stored is None or stored.wake_at != job.wake_at:
            return False
        self.jobs[job.id] = replace(stored, wake_at=wake_at)
        return True

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        for job, time in zip(jobs, wake_at, strict=True):
            await self.move_wake_at(job, time)

    async def any_waiting(self, queues: Set[str]) -> bool:
        return any(job.ready_at and work_queue(job.phase, job.type) in queues for job in self.jobs.values())

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        ready = [
            (job.ready_at, job.id, job)
            for job in self.jobs.values()
            if job.ready_at and job.ready_at <= until and job.phase == phase and job.type == job_type
        ]
        return [job for _, _, job in sorted(ready, key=lambda entry: entry[:2])[:want]]

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        every = await self.waiting(phase, job_type, until=until, want=len(self.jobs))
        return [job for job in every if job.counted_for not in owners][:want]

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        everything: list[Job | Placeholder] = [*self.jobs.values(), *self.placeholders.values()]
        due = [(each.wake_at, each.id, each) for each in everything if each.wake_at and each.wake_at <= until]
        return [each for _, _, each in sorted(due, key=lambda entry: entry[:2])[:want]]

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        if job_id in self.jobs:
            return "job"
        known = self.placeholders.get(job_id)
        if known is None:
            self.placeholders[job_id] = Placeholder(
                id=job_id, triggers=(trigger,), since=trigger.received_at, wake_at=wake_at
            )
            return "kept"
        if refused := why_not_kept(known, trigger):
            return refused
        triggers = (*known.triggers, trigger)
        self.placeholders[job_id] = replace(known, triggers=triggers, revision=known.revision + 1)
        return "kept"

    async def placeholder(self, job_id: str) -> Placeholder | None:
        return self.placeholders.get(job_id)

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        if not self._is_as_read(old):
            return None
        moved = replace(old, wake_at=wake_at, ended=ended, revision=old.revision + 1)
        self.placeholders[old.id] = moved
        return moved

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        if not self._is_as_read(placeholder):
            return False
        self._put(job)
        del self.placeholders[job.id]
        return True

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        if self._is_as_read(placeholder):
            del self.placeholders[placeholder.id]

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        waiting = (each for each in self.placeholders.values() if since < each.wake_at <= until)
        return min(up_to, sum(any(trigger.sender == sender for trigger in each.triggers) for each in waiting))

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        return min(up_to, sum(job.counted_for == owner for job in self.jobs.values()))

    def _is_as_read(self, placeholder: Placeholder) -> bool:
        known = self.placeholders.get(placeholder.id)
        return known is not None and known.revision == placeholder.revision

    def _put(self, job: Job) -> None:
        if len(encoded(to_document(job))) > _MAX_DOCUMENT_BYTES:
            raise TooLarge("The job is too large for a document")
        self.jobs[job.id] = job


class MemoryProcessStore:
    """`ProcessStore` in a dict."""

    def __init__(self) -> None:
        self._signs: dict[str, Sign] = {}

    async def renew(self, name: str, until: datetime, types: Sequence[str] = ()) -> None:
        self._signs[name] = Sign(until, tuple(types))

    async def present(self) -> Mapping[str, Sign]:
        return dict(self._signs)

    async def leave(self, name: str) -> None:
        self._signs.pop(name, None)


_FIELDS = tuple(Job.__dataclass_fields__)

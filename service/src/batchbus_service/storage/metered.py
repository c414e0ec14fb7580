"""A job store whose calls are measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import datetime

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import Answer, JobStore, JobWrite, Renewal
from batchbus_service.telemetry.meter import Meter
from batchbus_strategies import Phase

__all__ = ["MeteredJobStore"]


class MeteredJobStore:
    """`JobStore` around another one."""

    def __init__(self, store: JobStore, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    async def prepare(self) -> None:
        await self._store.prepare()

    async def insert(self, job: Job) -> None:
        with self._measured("insert"):
            await self._store.insert(job)

    async def get(self, job_id: str) -> Job | None:
        with self._measured("get"):
            return await self._store.get(job_id)

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        with self._measured("update"):
            return await self._store.update(old, new, same_lease=same_lease, by_owner=by_owner)

    async def renew(self, renewal: Renewal) -> bool:
        with self._measured("beat"):
            return await self._store.renew(renewal)

    async def settle(self, jobs: Sequence[Job]) -> None:
        with self._measured("settle"):
            await self._store.settle(jobs)

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        with self._measured("write_all"):
            return await self._store.write_all(writes)

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        with self._measured("move_alarm"):
            return await self._store.move_wake_at(job, wake_at)

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        with self._measured("put_off"):
            await self._store.put_off(jobs, wake_at)

    async def any_waiting(self, queues: Set[str]) -> bool:
        with self._measured("any_waiting"):
            return await self._store.any_waiting(queues)

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        with self._measured("waiting"):
            return await self._store.waiting(phase, job_type, until=until, want=want)

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        with self._measured("waiting_of_others"):
            return await self._store.waiting_of_others(phase, job_type, owners, until=until, want=want)

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        with self._measured("ringing"):
            return await self._store.due(until=until, want=want)

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        with self._measured("keep_early"):
            return await self._store.keep_early(job_id, trigger, wake_at)

    async def placeholder(self, job_id: str) -> Placeholder | None:
        with self._measured("placeholder"):
            return await self._store.placeholder(job_id)

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        with self._measured("move_placeholder"):
            return await self._store.move_placeholder(old, wake_at=wake_at, ended=ended)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        with self._measured("fill_placeholder"):
            return await self._store.fill_placeholder(placeholder, job)

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        with self._measured("drop_placeholder"):
            await self._store.drop_placeholder(placeholder)

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        with self._measured("early_of"):
            return await self._store.early_of(sender, since=since, until=until, up_to=up_to)

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        with self._measured("unfinished_of"):
            return await self._store.unfinished_of(owner, up_to=up_to)

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        started, failed = time.perf_counter(), False
        try:
            yield
        except StoreUnavailable:
            failed = True
            raise
        finally:
            self._meter.asked_store(operation, time.perf_counter() - started, failed=failed)

"""Group commit: while a write of jobs is on its way, those that come meanwhile gather, and go together in the next one.

A database that makes every write durable takes hardly longer for twenty writes than for one. Where nothing is on its
way, a write waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import Answer, Insertion, JobStore, JobWrite, Renewal, Update
from batchbus_service.domain.ports.jobs import write_one
from batchbus_strategies import Phase

__all__ = ["GroupedJobStore"]

_MOST: Final = 50
"""Writes in one group: short enough that those which come meanwhile do not wait long."""
_HOLDS_UP: Final = 1.0
"""Seconds after which a group that is not answered does not keep others waiting any more."""


@dataclass(slots=True, eq=False)
class _Waiting:
    write: JobWrite
    answer: asyncio.Future[bool]


class GroupedJobStore:
    """`JobStore` around another one, whose writes of jobs it groups. No group has two writes of one job.

    A caller that is cancelled does not undo its write.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._writing: set[str] = set()
        """Jobs of which a write is on its way."""
        self._awaited: asyncio.Task[None] | None = None
        """The group that others wait for."""
        self._groups: set[asyncio.Task[None]] = set()

    # -- grouped ---------------------------------------------------------------------------------------------------

    async def insert(self, job: Job) -> None:
        await self._written(Insertion(job))

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        return await self._written(Update(old, new, same_lease, by_owner))

    async def renew(self, renewal: Renewal) -> bool:
        return await self._written(renewal)

    def _written(self, write: JobWrite) -> asyncio.Future[bool]:
        waiting = _Waiting(write, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._awaited is None:
            self._begin()
        return waiting.answer

    def _begin(self) -> None:
        """Begin a group of what waits. It is put together a moment later, so that what comes at once goes together."""
        group = self._awaited = asyncio.create_task(self._write_group())
        self._groups.add(group)
        overdue = asyncio.get_running_loop().call_later(_HOLDS_UP, self._go_on, group)

        def ended(_: asyncio.Task[None]) -> None:
            overdue.cancel()
            self._groups.discard(group)
            self._go_on(group)

        group.add_done_callback(ended)

    def _go_on(self, group: asyncio.Task[None]) -> None:
        """The group is not waited for any more: it has ended, or takes too long."""
        if self._awaited is group:
            self._awaited = None
        if self._awaited is None and any(each.write.job_id not in self._writing for each in self._waiting):
            self._begin()

    def _taken(self) -> list[_Waiting]:
        """The first that wait, each of another job, and of no job of which a write is on its way."""
        taken: list[_Waiting] = []
        kept: list[_Waiting] = []
        passed = set(self._writing)
        for each in self._waiting:
            job_id = each.write.job_id
            if len(taken) < _MOST and job_id not in passed:
                taken.append(each)
            else:
                kept.append(each)
            passed.add(job_id)
        self._waiting = kept
        return taken

    async def _write_group(self) -> None:
        group = self._taken()
        job_ids = {each.write.job_id for each in group}
        self._writing |= job_ids
        try:
            answers = await self._answers([each.write for each in group])
        finally:
            self._writing -= job_ids
        for each, answer in zip(group, answers, strict=True):
            if each.answer.done():  # the caller was cancelled
                continue
            if isinstance(answer, Exception):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)

    async def _answers(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        try:
            if len(writes) == 1:
                return [await self._alone(writes[0])]
            return await self._store.write_all(writes)
        except StoreUnavailable as error:
            return [StoreUnavailable(str(error)) for _ in writes]
        except Exception:  # noqa: BLE001 - whose fault it was, shows when each is written alone
            return [await self._alone(write) for write in writes]

    async def _alone(self, write: JobWrite) -> Answer:
        try:
            return await write_one(self._store, write)
        except Exception as error:  # noqa: BLE001 - it is for the caller to deal with
            return error

    # -- as they are -----------------------------------------------------------------------------------------------

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        return await self._store.write_all(writes)

    async def settle(self, jobs: Sequence[Job]) -> None:
        await self._store.settle(jobs)  # many at once already, and in no hurry: nothing else is to wait for them

    async def prepare(self) -> None:
        await self._store.prepare()

    async def get(self, job_id: str) -> Job | None:
        return await self._store.get(job_id)

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        return await self._store.move_wake_at(job, wake_at)

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        await self._store.put_off(jobs, wake_at)

    async def any_waiting(self, queues: Set[str]) -> bool:
        return await self._store.any_waiting(queues)

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        return await self._store.waiting(phase, job_type, until=until, want=want)

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        return await self._store.waiting_of_others(phase, job_type, owners, until=until, want=want)

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        return await self._store.due(until=until, want=want)

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        return await self._store.keep_early(job_id, trigger, wake_at)

    async def placeholder(self, job_id: str) -> Placeholder | None:
        return await self._store.placeholder(job_id)

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        return await self._store.move_placeholder(old, wake_at=wake_at, ended=ended)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        return await self._store.fill_placeholder(placeholder, job)

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        await self._store.drop_placeholder(placeholder)

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        return await self._store.unfinished_of(owner, up_to=up_to)

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        return await self._store.early_of(sender, since=since, until=until, up_to=up_to)

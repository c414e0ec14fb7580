"""Group commit: what goes together, what waits, and what each caller is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from batchbus_service.domain.errors import JobExists, StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.ports import Answer, JobWrite
from batchbus_service.storage.grouped import GroupedJobStore
from tests.engine.virtual_time import run_virtually
from tests.patience import PATIENCE
from tests.storage.memory.jobs import MemoryJobStore
from tests.storage.test_store_contract import DECIDER, job_like, seconds


class Gated(MemoryJobStore):
    """Every write waits for its turn, and is noted: which jobs went together."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[str]] = []
        self.gates: list[asyncio.Event] = []
        self._began = asyncio.Event()
        self.lost = False

    async def insert(self, job: Job) -> None:
        await self._pass([job.id])
        await super().insert(job)

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        await self._pass([old.id])
        return await super().update(old, new, same_lease=same_lease, by_owner=by_owner)

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        await self._pass([write.job_id for write in writes])
        inner = MemoryJobStore()
        inner.jobs, inner.placeholders = self.jobs, self.placeholders
        return await inner.write_all(writes)

    async def _pass(self, job_ids: list[str]) -> None:
        gate = asyncio.Event()
        self.groups.append(job_ids)
        self.gates.append(gate)
        self._began.set()
        await gate.wait()
        if self.lost:
            raise StoreUnavailable("simulated")

    async def under_way(self, groups: int) -> None:
        """Wait until so many groups have begun."""
        async with asyncio.timeout(PATIENCE):
            while len(self.groups) < groups:
                self._began.clear()
                await self._began.wait()


async def test_a_write_waits_for_nothing_and_those_that_come_meanwhile_go_together() -> None:
    store = Gated()
    grouped = GroupedJobStore(store)
    jobs = [job_like(number) for number in range(5)]
    first = asyncio.ensure_future(grouped.insert(jobs[0]))
    await store.under_way(1)
    others = [asyncio.ensure_future(grouped.insert(job)) for job in jobs[1:]]
    await asyncio.sleep(0)  # a turn, in which the others would begin
    assert store.groups == [[jobs[0].id]]
    store.gates[0].set()
    await first
    await store.under_way(2)
    store.gates[1].set()
    await asyncio.gather(*others)
    assert store.groups == [[jobs[0].id], [job.id for job in jobs[1:]]]
    assert list(store.jobs.values()) == jobs


async def test_no_group_has_two_writes_of_one_job_and_none_overtakes_another() -> None:
    store = Gated()
    grouped = GroupedJobStore(store)
    job, other = job_like(1), job_like(2)
    claimed = DECIDER.claim(job, "worker-1", seconds(1))
    done = DECIDER.pre_processed(claimed, seconds(2), Cause(), go_on=True)
    writes = [
        asyncio.ensure_future(each)
        for each in (
            grouped.insert(job), grouped.update(job, claimed), grouped.update(claimed, done), grouped.insert(other),
        )
    ]  # fmt: skip
    for number in range(3):
        await store.under_way(number + 1)
        store.gates[number].set()
    assert await asyncio.gather(*writes) == [None, True, True, None]
    assert store.groups == [[job.id, other.id], [job.id], [job.id]]
    assert store.jobs[job.id] == done


async def test_a_group_is_of_fifty_at_most() -> None:
    store = Gated()
    grouped = GroupedJobStore(store)
    writes = [asyncio.ensure_future(grouped.insert(job_like(number))) for number in range(120)]
    for number in range(3):
        await store.under_way(number + 1)
        store.gates[number].set()
    await asyncio.gather(*writes)
    assert [len(group) for group in store.groups] == [50, 50, 20]


async def test_each_caller_gets_its_own_answer() -> None:
    store = MemoryJobStore()
    grouped = GroupedJobStore(store)
    there, moved = job_like(1), job_like(2)
    await grouped.insert(there)
    await grouped.insert(moved)
    canceled = DECIDER.cancel(moved, seconds(1), Cause())
    await grouped.update(moved, canceled)
    answers: Sequence[object] = await asyncio.gather(
        grouped.insert(there),
        grouped.update(moved, DECIDER.claim(moved, "worker-1", seconds(1))),
        grouped.insert(job_like(3)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], JobExists)
    assert list(answers[1:]) == [False, None]


async def test_what_is_not_known_of_a_group_is_not_known_of_any_in_it() -> None:
    store = Gated()
    store.lost = True
    grouped = GroupedJobStore(store)
    writes = [asyncio.ensure_future(grouped.insert(job_like(number))) for number in range(3)]
    await store.under_way(1)
    store.gates[0].set()
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert len({id(answer) for answer in answers}) == 3


async def test_a_caller_that_goes_away_does_not_undo_its_write_nor_keep_others_from_their_answers() -> None:
    store = Gated()
    grouped = GroupedJobStore(store)
    gone, stays = (asyncio.ensure_future(grouped.insert(job_like(number))) for number in (1, 2))
    await store.under_way(1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    store.gates[0].set()
    await stays
    assert set(store.jobs) == {job_like(1).id, job_like(2).id}


def test_a_group_that_is_not_answered_keeps_others_waiting_for_a_second_but_for_those_of_its_jobs() -> None:
    async def scene() -> None:
        store = Gated()
        grouped = GroupedJobStore(store)
        job, other = job_like(1), job_like(2)
        began = asyncio.get_running_loop().time()
        slow = asyncio.ensure_future(grouped.insert(job))
        await store.under_way(1)
        behind = asyncio.ensure_future(grouped.update(job, DECIDER.cancel(job, seconds(1), Cause())))
        meanwhile = asyncio.ensure_future(grouped.insert(other))
        await store.under_way(2)
        assert 0.9 < asyncio.get_running_loop().time() - began < 1.3
        assert store.groups == [[job.id], [other.id]]
        store.gates[1].set()
        await meanwhile
        await asyncio.sleep(10)  # on virtual time
        assert not slow.done() and not behind.done()
        store.gates[0].set()
        await slow
        await store.under_way(3)
        store.gates[2].set()
        assert await behind

    run_virtually(scene())

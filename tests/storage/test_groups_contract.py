"""Several writes in one go: what each is answered, on memory and MongoDB, also where the connection breaks midway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import AutoReconnect

from batchbus_service.domain.errors import JobExists, NotStorable, StoreUnavailable
from batchbus_service.domain.job import Checkpoint, Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.ports import Insertion, JobStore, JobWrite, Renewal, Update
from batchbus_service.domain.result import JobResult
from batchbus_service.storage.mongo.collection import Database
from batchbus_service.storage.mongo.jobs import MongoJobStore
from tests.storage.conftest import mongo_store
from tests.storage.test_store_contract import DECIDER, NOW, change, job_like, seconds


def renewal(job: Job) -> Renewal:
    return Renewal(
        job_id=job.id,
        fence=job.fence,
        expires_at=seconds(60),
        result=JobResult(count=5),
        published=1,
        checkpoint=Checkpoint("pre_process", 7),
    )


async def stored(store: JobStore, number: int) -> Job:
    job = await store.get(job_like(number).id)
    assert job is not None
    return job


async def test_each_write_of_a_group_takes_effect_as_it_would_alone(store: JobStore) -> None:
    waiting, running, new = (job_like(number) for number in (1, 2, 4))
    running = DECIDER.claim(running, "worker-1", NOW)
    for job in (waiting, running):
        await store.insert(job)
    claimed = DECIDER.claim(waiting, "worker-1", seconds(1))

    answers = await store.write_all(
        [
            Insertion(new),
            Update(waiting, claimed),
            renewal(running),
        ]
    )

    assert list(answers) == [True] * 3
    assert await stored(store, 4) == new
    assert await stored(store, 1) == claimed
    beaten = await stored(store, 2)
    assert (beaten.result, beaten.published, beaten.checkpoint) == (JobResult(count=5), 1, Checkpoint("pre_process", 7))


async def test_what_is_refused_in_a_group_leaves_the_others_alone(store: JobStore) -> None:
    jobs = [DECIDER.claim(job_like(number), "worker-1", NOW) for number in range(7)]
    for job in jobs:
        await store.insert(job)
    moved, lost, taken, well, huge, odd, renewed = jobs
    assert await store.update(moved, DECIDER.cancel(moved, seconds(1), Cause()))
    assert await store.update(lost, DECIDER.overdue(lost, seconds(31)))
    await store.keep_early(job_like(20).id, change(), seconds(9))
    done = DECIDER.pre_processed(well, seconds(2), Cause(), go_on=True)
    new = job_like(21)

    answers = await store.write_all(
        [
            Update(moved, DECIDER.pre_processed(moved, seconds(2), Cause(), go_on=True)),
            renewal(lost),
            Insertion(taken),
            Insertion(job_like(20)),
            Update(well, done),
            Update(huge, replace(huge, version=3, result=JobResult({"text": "x" * 17_000_000}))),
            Update(odd, replace(odd, version=3, result=JobResult({"n": 2**70}))),
            renewal(renewed),
            Insertion(new),
        ]
    )

    assert list(answers[:2]) == [False, False]
    assert [type(answer) for answer in answers[2:4]] == [JobExists, JobExists]
    assert answers[4] is True
    assert all(isinstance(answer, NotStorable) for answer in answers[5:7])
    assert list(answers[7:]) == [True, True]
    assert await stored(store, 3) == done
    assert [await stored(store, number) for number in (4, 5)] == [huge, odd]
    assert (await stored(store, 6)).checkpoint == Checkpoint("pre_process", 7)
    assert await stored(store, 21) == new


async def test_nothing_is_written_of_a_group_of_which_nothing_can_be(store: JobStore) -> None:
    await store.insert(job_like(1))
    answers = await store.write_all([Insertion(replace(job_like(2), result=JobResult({"n": 2**70})))])
    assert [type(answer) for answer in answers] == [NotStorable]
    assert await store.get(job_like(2).id) is None


class Breaking:
    """A database that takes so many writes of a group, and then loses the connection before it has answered."""

    def __init__(self, database: Database, behind: int) -> None:
        self._database = database
        self._behind = behind

    def get_collection(self, *args: Any, **options: Any) -> Breaking:
        self._collection = self._database.get_collection(*args, **options)
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def bulk_write(self, writes: Sequence[Any], **options: Any) -> Any:
        if some := writes[: self._behind]:
            await self._collection.bulk_write(some, **options)
        raise AutoReconnect("the connection was closed")


@pytest.mark.parametrize("behind", range(5))
async def test_a_group_whose_answer_is_lost_is_answered_by_what_the_database_has(
    mongo_url: str, database_name: str, behind: int
) -> None:
    async with mongo_store(mongo_url, database_name) as store:
        waiting, other, running = (job_like(number) for number in range(1, 4))
        running = DECIDER.claim(running, "worker-1", NOW)
        for job in (waiting, other, running):
            await store.insert(job)
        claimed, canceled = DECIDER.claim(waiting, "w", seconds(1)), DECIDER.cancel(other, seconds(1), Cause())
        group: list[JobWrite] = [
            Insertion(job_like(5)), Update(waiting, claimed), Update(other, canceled), renewal(running),
        ]  # fmt: skip
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url, tz_aware=True)
        breaking = MongoJobStore(cast("Database", Breaking(client[database_name], behind)))
        answers = await breaking.write_all(group)
        client.close()

        for place, (write, answer) in enumerate(zip(group, answers, strict=True)):
            if place < behind:
                assert answer is True
            elif isinstance(write, Update):  # as where another process was faster: it is decided again
                assert answer is False
            else:
                assert isinstance(answer, StoreUnavailable)
        assert (await stored(store, 1) == claimed) == (behind > 1)
        assert (await stored(store, 2) == canceled) == (behind > 2)

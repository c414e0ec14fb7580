"""What every job store must do: run against memory and against a real MongoDB wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_events.ids import new_ulid
from batchbus_service.domain.early import MAX_EARLY, ChangeTrigger, Placeholder
from batchbus_service.domain.errors import JobExists, NotStorable, TooLarge
from batchbus_service.domain.job import Checkpoint, Job, Status, work_queue
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy, due_at
from batchbus_service.domain.ports import JobStore, Renewal
from batchbus_service.domain.result import JobResult
from batchbus_service.storage.clock import SystemClock
from tests.storage.conftest import mongo_store

DECIDER = Decider(Policy(), new_ulid)
NOW = SystemClock().now()


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def job_like(number: int = 1, *, at: datetime = NOW, job_type: str = "noop", context: Any = None) -> Job:
    request = NewJob(
        id=f"batch_{number:026d}",
        type=job_type,
        context=context or {"a": [1, {"b": None}]},
        dry_run=False,
        created_by="usr_1",
        request_digest="d",
    )
    return DECIDER.create(request, at, Cause(event_id=f"t{number}", source="/s", traceparent="00-1-2-01"))


async def test_a_job_comes_back_as_it_was_stored(store: JobStore) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    assert await store.get(job.id) == job
    assert await store.get("batch_unknown") is None


async def test_an_id_is_taken_once(store: JobStore) -> None:
    await store.insert(job_like())
    with pytest.raises(JobExists):
        await store.insert(job_like())


async def test_an_update_writes_what_differs_and_only_over_the_version_that_was_read(store: JobStore) -> None:
    job = job_like()
    await store.insert(job)
    claimed = DECIDER.claim(job, "worker-1", seconds(1))
    assert await store.update(job, claimed)
    assert await store.get(job.id) == claimed
    assert not await store.update(job, DECIDER.cancel(job, seconds(2), Cause()))
    assert await store.get(job.id) == claimed
    done = DECIDER.pre_processed(claimed, seconds(2), Cause(), go_on=True)
    done = DECIDER.completed(replace(done, result=JobResult(count=3)), seconds(3), Cause())
    assert await store.update(claimed, done)
    assert await store.get(job.id) == done


async def test_a_heartbeat_and_a_transition_do_not_undo_each_other(store: JobStore) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    canceled = DECIDER.cancel(job, seconds(1), Cause())
    renewal = Renewal(
        job_id=job.id,
        fence=job.fence,
        expires_at=seconds(60),
        result=JobResult(count=5),
        published=1,
        checkpoint=Checkpoint("pre_process", {"offset": 7}, 3, 1),
    )
    assert await store.renew(renewal)
    assert await store.update(job, canceled)
    assert await store.renew(replace(renewal, checkpoint=None, published=0))
    stored = await store.get(job.id)
    assert stored is not None and stored.lease is not None
    assert stored.status is Status.CANCELED
    assert stored.lease.expires_at == seconds(60)
    assert (stored.result, stored.published) == (JobResult(count=5), 1)
    assert stored.checkpoint == Checkpoint("pre_process", {"offset": 7}, 3, 1)


async def test_a_heartbeat_of_a_lost_lease_is_refused(store: JobStore) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    renewal = Renewal(job_id=job.id, fence=job.fence, expires_at=seconds(60), result=None, published=0)
    rescued = DECIDER.overdue(job, seconds(31))
    assert await store.update(job, rescued)
    assert not await store.renew(renewal), "the lease was taken away"
    assert await store.update(rescued, DECIDER.claim(rescued, "worker-2", seconds(40)))
    assert not await store.renew(renewal), "the job was given to another worker"


async def test_a_lease_renewed_since_the_read_is_not_taken_away(store: JobStore) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    await store.renew(Renewal(job_id=job.id, fence=job.fence, expires_at=seconds(60), result=None, published=0))
    assert not await store.update(job, DECIDER.overdue(job, seconds(31)), same_lease=True)


async def test_marks_are_settled_and_an_alarm_only_where_the_job_has_not_moved_on(store: JobStore) -> None:
    still, moved = job_like(1), job_like(2)
    for job in (still, moved):
        await store.insert(job)
    canceled = DECIDER.cancel(moved, seconds(1), Cause())
    assert await store.update(moved, canceled)
    await store.settle([replace(job, published=1, wake_at=None) for job in (still, moved)])
    first, second = await store.get(still.id), await store.get(moved.id)
    assert first is not None and second is not None
    assert (first.published, first.wake_at) == (1, None)
    assert (second.published, second.wake_at) == (1, canceled.wake_at)


async def test_a_transition_sets_the_alarm_even_if_it_was_settled_since_the_read(store: JobStore) -> None:
    job = job_like()
    await store.insert(job)
    await store.settle([replace(job, published=1, wake_at=None)])
    claimed = replace(DECIDER.claim(job, "worker-1", NOW), wake_at=job.wake_at)
    assert await store.update(job, claimed)
    stored = await store.get(job.id)
    assert stored is not None and stored.wake_at == job.wake_at


async def test_the_owner_of_a_lease_overwrites_what_its_heartbeats_wrote(store: JobStore) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    checkpoint = Checkpoint("pre_process", 5)
    await store.renew(
        Renewal(
            job_id=job.id,
            fence=1,
            expires_at=seconds(60),
            result=JobResult(count=5),
            published=0,
            checkpoint=checkpoint,
        )
    )
    done = DECIDER.pre_processed(job, seconds(2), Cause(), go_on=True)
    assert await store.update(job, done, by_owner=True)
    assert await store.get(job.id) == done


async def test_an_alarm_is_moved_by_one_of_those_who_see_it_ring(store: JobStore) -> None:
    job = job_like()
    await store.insert(job)
    assert await store.due(until=seconds(5), want=10) == []
    assert await store.due(until=seconds(11), want=10) == [job]
    assert await store.move_wake_at(job, seconds(100))
    assert not await store.move_wake_at(job, seconds(200))
    assert await store.due(until=seconds(11), want=10) == []
    assert [found.id for found in await store.due(until=seconds(101), want=10)] == [job.id]


async def test_waiting_jobs_are_found_oldest_first_by_phase_and_type(store: JobStore) -> None:
    jobs = [job_like(n, at=seconds(-n)) for n in range(50)]
    for job in (*jobs, job_like(100, job_type="other"), job_like(101, at=seconds(60))):
        await store.insert(job)
    found = await store.waiting("pre_process", "noop", until=NOW, want=5)
    assert found == jobs[:-6:-1]
    for job in found:
        await store.update(job, DECIDER.claim(job, "worker-1", NOW))
    assert await store.waiting("pre_process", "noop", until=NOW, want=5) == jobs[-6:-11:-1]
    assert await store.waiting("process", "noop", until=NOW, want=5) == []
    assert [job.type for job in await store.waiting("pre_process", "other", until=NOW, want=5)] == ["other"]


async def test_jobs_that_have_not_ended_are_counted_for_their_owners(store: JobStore) -> None:
    owners = (("usr_1", None), ("usr_1", None), ("usr_2", None), ("bus:shop", "shop"), ("bus:x", "unvouched:x"))
    jobs = [
        replace(job_like(number), created_by=created_by, principal=principal)
        for number, (created_by, principal) in enumerate((*owners, ("bus:y", "unvouched:y"), ("bus:trusted", None)))
    ]
    for job in jobs:
        await store.insert(job)
    counts = {"usr_1": 2, "usr_2": 1, "shop": 1, "unvouched:": 2, "bus:trusted": 0, "usr_3": 0}
    assert {owner: await store.unfinished_of(owner, up_to=9) for owner in counts} == counts
    assert await store.unfinished_of("usr_1", up_to=1) == 1
    claimed = DECIDER.claim(jobs[0], "worker-1", NOW)
    assert await store.update(jobs[0], claimed)
    assert await store.unfinished_of("usr_1", up_to=9) == 2
    assert await store.update(claimed, DECIDER.cancel(claimed, NOW, Cause()))
    assert await store.unfinished_of("usr_1", up_to=9) == 1


async def test_waiting_jobs_are_found_past_those_of_owners_who_have_queued_many(store: JobStore) -> None:
    for number in range(40):
        await store.insert(job_like(number, at=seconds(-100)))
    others = [
        replace(job_like(100 + n, at=seconds(n)), created_by=name) for n, name in enumerate(("usr_2", "bus:shop"))
    ]
    for job in others:
        await store.insert(job)
    find = store.waiting_of_others
    assert await find("pre_process", "noop", {"usr_1"}, until=seconds(5), want=9) == others
    assert await find("pre_process", "noop", {"usr_1"}, until=seconds(5), want=1) == others[:1]
    assert await find("pre_process", "noop", {"usr_1", None}, until=seconds(5), want=9) == others[:1]
    assert await find("pre_process", "noop", {"usr_1"}, until=NOW, want=9) == others[:1]
    assert await find("process", "noop", set(), until=seconds(5), want=9) == []


async def test_one_question_says_whether_anything_waits_in_any_of_many_queues(store: JobStore) -> None:
    ours = {work_queue("pre_process", "noop"), work_queue("process", "noop")}
    await store.insert(DECIDER.claim(job_like(1), "worker-1", NOW))
    await store.insert(job_like(2, job_type="other"))
    assert not await store.any_waiting(ours)
    assert await store.any_waiting({*ours, work_queue("pre_process", "other")})
    await store.insert(job_like(3, at=seconds(60)))
    assert await store.any_waiting(ours)


async def test_a_job_that_becomes_ready_late_is_found_although_later_times_were_searched(store: JobStore) -> None:
    assert await store.waiting("pre_process", "noop", until=seconds(100), want=5) == []
    late = job_like(1, at=seconds(95))
    await store.insert(late)
    assert await store.waiting("pre_process", "noop", until=seconds(101), want=5) == [late]


async def test_a_document_that_would_be_too_large_is_not_written(store: JobStore) -> None:
    job = job_like()
    await store.insert(job)
    huge = replace(job, version=2, result=JobResult({"text": "x" * 17_000_000}))
    with pytest.raises(TooLarge):
        await store.update(job, huge)
    with pytest.raises(TooLarge):
        await store.insert(job_like(2, context={"text": "x" * 17_000_000}))
    assert await store.get(job.id) == job


@pytest.mark.parametrize(
    "result",
    [{"n": 2**70}, {"text": "half a \ud800 pair"}, {"a\0b": 1}, {"thing": object()}],
    ids=lambda r: next(iter(r)),
)
async def test_what_cannot_be_kept_is_not_written_and_said_in_words(store: JobStore, result: dict[str, Any]) -> None:
    job = DECIDER.claim(job_like(), "worker-1", NOW)
    await store.insert(job)
    with pytest.raises(NotStorable, match="The job holds"):
        await store.update(job, replace(job, version=2, result=JobResult(result)))
    with pytest.raises(NotStorable, match="The job holds"):
        await store.renew(
            Renewal(job_id=job.id, fence=job.fence, expires_at=seconds(60), result=JobResult(result), published=0)
        )
    with pytest.raises(NotStorable, match="The job holds"):
        await store.insert(replace(job_like(2), result=JobResult(result)))
    assert await store.get(job.id) == job


async def test_a_document_of_a_newer_version_of_batchbus_is_left_alone(mongo_url: str, database_name: str) -> None:
    async with mongo_store(mongo_url, database_name) as store:
        await store.insert(replace(job_like(1), schema=99))
        await store.insert(job_like(2))
        assert [job.id for job in await store.waiting("pre_process", "noop", until=NOW, want=5)] == [job_like(2).id]


async def test_what_a_version_wrote_that_knew_no_digest_of_a_plan_is_read(mongo_url: str, database_name: str) -> None:
    early = replace(job_like(1), confirmed_early="c1", confirmed_early_digest="d" * 64)
    async with mongo_store(mongo_url, database_name) as store:
        await store.insert(early)
        assert await store.keep_early(job_like(2).id, change(1), seconds(9)) == "kept"
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
        jobs = client[database_name]["jobs"]
        await jobs.update_one({"_id": early.id}, {"$unset": {"confirmed_early_digest": ""}})
        await jobs.update_one({"_id": job_like(2).id}, {"$unset": {"early.0.plan_digest": ""}})
        client.close()
        assert await store.get(early.id) == replace(early, confirmed_early_digest=None)
        placeholder = await store.placeholder(job_like(2).id)
        assert placeholder is not None and placeholder.triggers == (replace(change(1), plan_digest=None),)


def test_an_alarm_is_set_for_events_not_published_a_lease_and_a_confirmation() -> None:
    job = job_like()
    policy = Policy()
    assert job.wake_at == NOW + policy.publish_grace
    published = replace(job, published=1)
    assert due_at(published, NOW, policy) is None
    claimed = DECIDER.claim(published, "worker-1", NOW)
    assert claimed.wake_at == NOW + policy.lease


def change(
    number: int = 1, *, sender: str = "/shop", word: Literal["confirmed", "canceled"] = "confirmed"
) -> ChangeTrigger:
    cause = Cause(event_id=f"c{number}", source="/s", by="bus:/s", traceparent="00-1-2-01")
    return ChangeTrigger(
        type="batch.confirmed" if word == "confirmed" else "batch.canceled",
        cause=cause,
        sender=sender,
        received_at=NOW,
        reason="because",
        plan_digest="d" * 64 if number % 2 else None,
    )


async def test_early_triggers_are_kept_in_order_each_once_where_the_job_will_be(store: JobStore) -> None:
    job = job_like()
    for number in (2, 1, 2, 3):
        assert await store.keep_early(job.id, change(number), seconds(number)) == "kept"
    (found,) = await store.due(until=seconds(2), want=10)
    assert found == await store.placeholder(job.id)
    assert isinstance(found, Placeholder)
    assert found.triggers == (change(2), change(1), change(3))
    assert (found.id, found.since, found.wake_at, found.ended) == (job.id, NOW, seconds(2), False)
    assert await store.get(job.id) is None, "it is no job"
    assert await store.waiting("pre_process", "noop", until=seconds(999), want=10) == []
    with pytest.raises(JobExists):
        await store.insert(job)


async def test_early_triggers_are_not_kept_beside_a_job_nor_without_a_limit_nor_once_they_are_answered(
    store: JobStore,
) -> None:
    await store.insert(job_like(1))
    assert await store.keep_early(job_like(1).id, change(), seconds(9)) == "job"
    assert await store.placeholder(job_like(1).id) is None
    other = job_like(2).id
    for number in range(MAX_EARLY):
        assert await store.keep_early(other, change(number), seconds(9)) == "kept"
    assert await store.keep_early(other, change(MAX_EARLY), seconds(9)) == "full"
    assert await store.keep_early(other, change(0), seconds(9)) == "kept", "it is among them"
    placeholder = await store.placeholder(other)
    assert placeholder is not None
    ended = await store.move_placeholder(placeholder, wake_at=seconds(50), ended=True)
    assert ended is not None and ended == await store.placeholder(other)
    assert (ended.wake_at, ended.ended, ended.triggers) == (seconds(50), True, placeholder.triggers)
    assert await store.keep_early(other, change(99), seconds(9)) == "ended"
    assert await store.move_placeholder(placeholder, wake_at=seconds(50), ended=True) is None, "it was read before"


async def test_a_job_takes_the_place_of_a_placeholder_that_nobody_has_changed(store: JobStore) -> None:
    job = job_like()
    await store.keep_early(job.id, change(1), seconds(9))
    old = await store.placeholder(job.id)
    await store.keep_early(job.id, change(2), seconds(9))
    new = await store.placeholder(job.id)
    assert old is not None and new is not None
    assert not await store.fill_placeholder(old, job)
    await store.drop_placeholder(old)
    assert await store.placeholder(job.id) == new
    assert await store.fill_placeholder(new, job)
    assert not await store.fill_placeholder(new, job)
    await store.drop_placeholder(new)
    assert await store.get(job.id) == job
    assert await store.placeholder(job.id) is None
    changed = DECIDER.cancel(job, seconds(2), Cause())
    assert await store.update(job, changed)
    assert await store.get(job.id) == changed


async def test_a_placeholder_that_is_dropped_leaves_room_for_the_job(store: JobStore) -> None:
    await store.keep_early(job_like().id, change(), seconds(9))
    placeholder = await store.placeholder(job_like().id)
    assert placeholder is not None
    await store.drop_placeholder(placeholder)
    assert await store.placeholder(placeholder.id) is None
    await store.insert(job_like())


async def test_for_how_many_jobs_the_triggers_of_a_sender_wait(store: JobStore) -> None:
    for number in range(5):
        await store.keep_early(job_like(number).id, change(1), seconds(10))
        await store.keep_early(job_like(number).id, change(2, sender="/other" if number < 2 else "/shop"), seconds(10))
    await store.insert(job_like(9))
    assert await store.early_of("/shop", since=NOW, until=seconds(10), up_to=100) == 5
    assert await store.early_of("/shop", since=NOW, until=seconds(10), up_to=3) == 3
    assert await store.early_of("/other", since=NOW, until=seconds(10), up_to=100) == 2
    assert await store.early_of("/nobody", since=NOW, until=seconds(10), up_to=100) == 0
    assert await store.early_of("/shop", since=seconds(10), until=seconds(99), up_to=100) == 0
    assert await store.early_of("/shop", since=NOW, until=seconds(9), up_to=100) == 0


async def test_many_alarms_are_put_off_each_unless_it_was_moved(store: JobStore) -> None:
    jobs = [job_like(number) for number in range(3)]
    for job in jobs:
        await store.insert(job)
    assert await store.move_wake_at(jobs[0], seconds(77))
    await store.put_off(jobs, [seconds(100), seconds(200), None])
    stored = [await store.get(job.id) for job in jobs]
    assert [job.wake_at for job in stored if job] == [seconds(77), seconds(200), None]
    await store.put_off([], [])

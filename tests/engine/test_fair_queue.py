"""Jobs that wait for a slot are taken in turn for each owner."""

from __future__ import annotations

from dataclasses import replace

from batchbus_service.domain.job import Job
from batchbus_service.engine.fair_queue import FairQueue
from tests.domain.test_lifecycle import new_decider, new_job

_JOB = new_job(new_decider())


def jobs(owner: str, count: int) -> list[Job]:
    return [replace(_JOB, id=f"{owner}{number}", created_by=owner) for number in range(count)]


def taken(queue: FairQueue) -> str:
    jobs = [queue.take() for _ in range(len(queue))]
    return " ".join(job.id for job in jobs if job is not None)


def test_owners_take_turns_and_each_has_its_own_order() -> None:
    queue = FairQueue(10)
    queue.extend([*jobs("a", 4), *jobs("b", 2), *jobs("c", 1)])
    assert queue.owners == ["a", "b", "c"]
    assert taken(queue) == "a0 b0 c0 a1 b1 a2 a3"
    assert queue.take() is None


def test_a_full_queue_has_room_for_those_who_have_less() -> None:
    queue = FairQueue(4)
    queue.extend([*jobs("a", 9), *jobs("b", 1), *jobs("c", 1)])
    assert taken(queue) == "a0 b0 c0 a1"


def test_a_job_that_is_put_back_comes_next() -> None:
    queue = FairQueue(10)
    queue.extend([*jobs("a", 2), *jobs("b", 1)])
    first = queue.take()
    assert first is not None
    queue.put_back(first)
    assert (len(queue), taken(queue)) == (3, "a0 b0 a1")


def test_services_that_are_believed_have_turns_of_their_own_and_those_not_vouched_for_have_one() -> None:
    queue = FairQueue(10)
    for principal, created_by in (
        (None, "bus:shop"),
        (None, "bus:crm"),
        ("unvouched:x", "bus:x"),
        ("unvouched:y", "bus:y"),
    ):
        queue.add(replace(_JOB, principal=principal, created_by=created_by))
    assert queue.owners == ["bus:shop", "bus:crm", "unvouched:"]


def test_owners_who_have_no_turn_are_passed_over_and_keep_their_place() -> None:
    queue = FairQueue(10)
    queue.extend([*jobs("a", 2), *jobs("b", 1)])
    first = queue.take(lambda owner: owner != "a")
    assert first is not None and first.id == "b0"
    assert queue.take(lambda owner: owner != "a") is None
    assert taken(queue) == "a0 a1"


def test_a_job_is_in_it_once_in_its_latest_version() -> None:
    queue = FairQueue(10)
    first, second = jobs("a", 2)
    queue.extend([first, second, replace(first, version=7)])
    job = queue.take()
    assert job is not None and (job.id, job.version, len(queue)) == ("a0", 7, 1)


def test_only_what_is_kept_is_refreshed_and_only_by_its_own_version() -> None:
    queue = FairQueue(10)
    (first,) = jobs("a", 1)
    queue.add(first)
    for job in (replace(first, published=5, version=9), *jobs("b", 1)):
        queue.refresh(job)
    assert list(queue) == [first]
    queue.refresh(replace(first, published=5))
    assert [job.published for job in queue] == [5]

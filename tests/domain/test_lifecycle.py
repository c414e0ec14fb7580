"""The decisions about a job: every one of them, in any order, keeps the promises of the lifecycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.explanation import Served, explain
from batchbus_service.domain.job import TERMINAL, Job, Status, evolve
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy, due_at
from batchbus_service.domain.moves import MOVES
from batchbus_service.domain.result import JobResult

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(max_attempts=3)


@pytest.fixture
def decider() -> Decider:
    return new_decider()


def new_decider() -> Decider:
    numbers = count(1)
    return Decider(POLICY, lambda: f"event-{next(numbers)}")


def new_job(decider: Decider, *, dry_run: bool = False) -> Job:
    request = NewJob(
        id="batch_1", type="noop", context={}, dry_run=dry_run, created_by="usr_1", request_digest="digest"
    )
    return decider.create(request, START, Cause(event_id="t1", source="/shop"))


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def statuses(job: Job) -> list[str]:
    return [entry.type for entry in job.history]


def test_a_job_that_is_no_dry_run_goes_from_creation_to_processing_in_three_writes(decider: Decider) -> None:
    job = decider.claim(new_job(decider), "worker-1", later(1))
    job = decider.pre_processed(job, later(2), Cause(), go_on=True)
    assert job.status is Status.PROCESSING
    job = decider.completed(job, later(3), Cause())
    assert statuses(job) == [
        "batch.created",
        "batch.pre_processed",
        "batch.confirmed",
        "batch.processing",
        "batch.completed",
    ]
    assert [entry.seq for entry in job.history] == [1, 2, 3, 4, 5]
    assert job.lease is None


def test_a_dry_run_rests_until_someone_confirms_it(decider: Decider) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.pre_processed(job, later(2), Cause(), go_on=True)
    assert (job.status, job.lease, job.ready_at) == (Status.PRE_PROCESSED, None, None)
    job = decider.confirm(job, later(3), Cause(event_id="t2", source="/shop"))
    assert (job.status, job.ready_at, job.history[-1].causationid) == (Status.CONFIRMED, later(3), "t2")


def test_a_confirmation_that_comes_too_early_is_remembered(decider: Decider) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.confirm(job, later(1), Cause(event_id="t2", source="/shop"), early=True)
    assert job.status is Status.CREATED
    job = decider.pre_processed(job, later(2), Cause(), go_on=False)
    assert (job.status, job.history[-1].causationid) == (Status.CONFIRMED, "t2")


def test_over_http_a_confirmation_that_comes_too_early_is_refused(decider: Decider) -> None:
    with pytest.raises(NotAllowed, match="not pre processed"):
        decider.confirm(new_job(decider, dry_run=True), later(1), Cause())


def test_a_second_confirmation_is_refused_but_the_same_one_again_changes_nothing(decider: Decider) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.pre_processed(job, later(2), Cause(), go_on=True)
    trigger = Cause(event_id="t2", source="/shop")
    job = decider.confirm(job, later(3), trigger)
    assert decider.confirm(job, later(4), trigger) is job
    with pytest.raises(NotAllowed):
        decider.confirm(job, later(4), Cause(event_id="t3", source="/shop"))


def test_a_cancellation_leaves_the_lease_until_the_run_has_stopped(decider: Decider) -> None:
    job = decider.claim(new_job(decider), "worker-1", later(1))
    canceled = decider.cancel(job, later(2), Cause())
    assert (canceled.status, canceled.lease) == (Status.CANCELED, job.lease)
    with pytest.raises(NotAllowed, match="still stopping"):
        decider.retry(canceled, later(2), Cause())
    stopped = decider.stopped(canceled, later(3), Cause())
    assert (stopped.lease, stopped.history[-1].type) == (None, "batch.updated")
    assert decider.retry(stopped, later(4), Cause()).status is Status.CREATED


def test_a_dry_run_that_was_never_confirmed_is_not_carried_out_by_a_retry(decider: Decider) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.cancel(decider.pre_processed(job, later(2), Cause(), go_on=True), later(3), Cause())
    assert decider.retry(job, later(4), Cause()).status is Status.CREATED


def test_a_job_whose_runs_are_lost_is_tried_again_later_and_later_and_then_failed(decider: Decider) -> None:
    job = new_job(decider)
    delays = []
    for second in (10, 20, 30):
        job = decider.claim(job, "worker-1", later(second))
        job = decider.run_lost(job, later(second), "boom", Cause())
        delays.append(job.ready_at and (job.ready_at - later(second)).total_seconds())
    assert delays == [1.0, 2.0, None]
    assert job.status is Status.FAILED
    assert job.result == JobResult(errors=("boom", "boom", "boom"), error_count=3)


def test_of_two_runs_that_end_a_process_of_their_own_the_second_fails_the_job(decider: Decider) -> None:
    job = decider.claim(new_job(decider), "worker-1", later(0))
    job = decider.crashed(job, later(1), "SIGSEGV", Cause())
    assert (job.crashes, job.failures, job.suspected) == (1, 1, True)
    assert job.ready_at == later(2)
    job = decider.crashed(decider.claim(job, "worker-1", later(3)), later(4), "SIGSEGV", Cause())
    assert job.status is Status.FAILED
    again = decider.retry(job, later(5), Cause())
    assert (again.crashes, again.failures, again.suspected) == (0, 0, True), "nothing has shown that it does no harm"


def test_a_job_is_not_failed_for_the_workers_that_it_lost_until_there_are_very_many(decider: Decider) -> None:
    job, lost = new_job(decider), 0
    while not job.terminal:
        now = later(100 * lost)
        job = decider.overdue(decider.claim(job, "worker-1", now), later(100 * lost + 31))
        lost += 1
        assert job.terminal or (job.ready_at == later(100 * (lost - 1) + 31) and job.suspected and job.failures == 0)
    assert (lost, job.status) == (20, Status.FAILED)


def test_whatever_got_a_job_on_clears_it_of_suspicion(decider: Decider) -> None:
    job = decider.overdue(decider.claim(new_job(decider), "worker-1", later(0)), later(31))
    job = decider.pre_processed(decider.claim(job, "worker-1", later(32)), later(33), Cause(), go_on=True)
    assert not job.suspected


def test_a_lease_that_ran_out_gives_the_job_to_the_next_worker(decider: Decider) -> None:
    job = decider.claim(new_job(decider), "worker-1", later(0))
    assert decider.overdue(job, later(29)) is job
    rescued = decider.overdue(job, later(31))
    assert rescued.lease is None and rescued.ready_at is not None
    assert decider.claim(rescued, "worker-2", later(40)).fence == job.fence + 1


def test_a_dry_run_that_nobody_confirms_is_called_off(decider: Decider) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.pre_processed(job, later(2), Cause(), go_on=True)
    assert job.confirm_by is not None
    assert decider.overdue(job, job.confirm_by).status is Status.CANCELED


def test_the_diagram_shows_every_move_of_the_table() -> None:
    drawn = MOVES.diagram()
    for move in MOVES:
        assert f"{move.source} --> {move.target}: {move.reason}" in drawn


Step = Callable[[Decider, Job, datetime, int], Job]

STEPS: dict[str, Step] = {
    "claim": lambda d, job, now, n: d.claim(job, f"worker-{n}", now),
    "go on": lambda d, job, now, n: d.pre_processed(job, now, Cause(), go_on=True),
    "wait": lambda d, job, now, n: d.pre_processed(job, now, Cause(), go_on=False),
    "complete": lambda d, job, now, n: d.completed(job, now, Cause()),
    "fail": lambda d, job, now, n: d.failed(job, now, "no", Cause()),
    "lose": lambda d, job, now, n: d.run_lost(job, now, "lost", Cause()),
    "crash": lambda d, job, now, n: d.crashed(job, now, "SIGSEGV", Cause()),
    "release": lambda d, job, now, n: d.released(job, now),
    "stop": lambda d, job, now, n: d.stopped(job, now, Cause()),
    "confirm": lambda d, job, now, n: d.confirm(job, now, Cause(event_id=f"c{n}", source="/s")),
    "confirm early": lambda d, job, now, n: d.confirm(job, now, Cause(event_id=f"c{n}", source="/s"), early=True),
    "cancel": lambda d, job, now, n: d.cancel(job, now, Cause(event_id=f"x{n}", source="/s")),
    "confirm a plan early": lambda d, job, now, n: d.confirm(
        job, now, Cause(event_id=f"c{n}", source="/s"), early=True, plan_digest="d"
    ),
    "retry": lambda d, job, now, n: d.retry(job, now, Cause()),
    "check again": lambda d, job, now, n: d.check_again(job, now, Cause()),
    "watch": lambda d, job, now, n: d.overdue(job, now),
}
NEEDS_LEASE = {"go on", "wait", "complete", "fail", "lose", "crash", "release", "stop"}


@given(
    dry_run=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.floats(0, 100), st.integers(0, 5), st.booleans()), max_size=40
    ),
)
def test_whatever_happens_in_whatever_order_a_job_is_never_stuck(
    dry_run: bool, steps: list[tuple[str, float, int, bool]]
) -> None:
    decider, now = new_decider(), START
    job = new_job(decider, dry_run=dry_run)
    for name, seconds, n, published in steps:
        now += timedelta(seconds=seconds)
        runs = job.lease is not None
        if name in NEEDS_LEASE and (
            not runs or (job.terminal and name != "stop") or (name == "stop" and not job.terminal)
        ):
            continue
        before = job
        try:
            job = STEPS[name](decider, job, now, n)
        except NotAllowed:
            assert job is before
            continue
        if published and job.published < len(job.history):
            job = _published(job, now)
        _check(before, job, now)


def _published(job: Job, now: datetime) -> Job:
    job = replace(job, published=len(job.history))
    return replace(job, wake_at=due_at(job, now, POLICY))


def _check(before: Job, job: Job, now: datetime) -> None:
    assert [entry.seq for entry in job.history] == list(range(1, len(job.history) + 1))
    assert job.history[: len(before.history)] == before.history
    assert job.fence >= before.fence
    assert job is before or job.version == before.version + 1 or job.published > before.published
    if job.status is not before.status:
        path = [Status(str(entry.data["status"])) for entry in job.history[len(before.history) :]]
        for source, target in zip([before.status, *path], path, strict=False):
            assert source is target or any((m.source, m.target) == (source, target) for m in MOVES)
    # Nothing is stuck: it rests, or a worker may take it, or a lease with an alarm clock is on it.
    waits_for_someone = job.status in TERMINAL or job.status is Status.PRE_PROCESSED
    assert waits_for_someone or job.ready_at is not None or job.lease is not None
    if job.lease or job.confirm_by or job.published < len(job.history):
        assert job.wake_at is not None
    assert explain(job, now, POLICY, Served.HERE).why


def test_a_job_waits_an_hour_for_room_and_then_that_is_a_failure_like_any_other() -> None:
    decider = Decider(Policy(max_attempts=2), lambda: "id")
    request = NewJob(id="batch_1", type="noop", context={}, dry_run=False, created_by="ann", request_digest="d")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    job = decider.create(request, begin, Cause())
    for minutes in (0, 1, 30, 59):
        now = begin + timedelta(minutes=minutes)
        job = decider.no_room(decider.claim(job, "worker-1", now), now, "no room", Cause())
        assert (job.failures, job.lease, job.no_room_since) == (0, None, begin)
        assert job.ready_at == now + timedelta(minutes=1)
        job = replace(job, ready_at=now)
    late = begin + timedelta(hours=1)
    lost = decider.no_room(decider.claim(job, "worker-1", late), late, "no room", Cause())
    assert (lost.failures, lost.status) == (1, Status.CREATED)
    failed = decider.no_room(decider.claim(replace(lost, ready_at=late), "worker-1", late), late, "no room", Cause())
    assert failed.status is Status.FAILED


def test_a_job_with_other_values_is_another_job_and_has_no_fields_but_a_jobs(decider: Decider) -> None:
    job = new_job(decider)
    other = evolve(job, published=1)
    assert other == replace(job, published=1) and job.published == 0
    assert type(other) is Job
    with pytest.raises(TypeError, match="no field speed"):
        evolve(job, speed=3)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        other.published = 2  # type: ignore[misc]

"""Which plan a confirmation is for, and what a refusal says about the plans that a job has had."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause, Decider
from batchbus_service.domain.result import JobResult
from batchbus_strategies import Json
from tests.domain.test_lifecycle import later, new_decider, new_job

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def decider() -> Decider:
    return new_decider()


@pytest.fixture
def strict(decider: Decider) -> Decider:
    """It asks for a digest."""
    return replace(decider, policy=replace(decider.policy, require_plan_digest=True))


def planned(decider: Decider, job: Job, digest: str | None, now: datetime, **operations: int) -> Job:
    """The job with a plan. `operations`: its counts."""
    job = decider.claim(job, "worker-1", now)
    added: dict[str, Json] = {"plan_digest": digest, "operations": dict(operations)} if digest else {}
    return decider.pre_processed(replace(job, result=JobResult(added=added)), now, Cause(), go_on=False)


def refusal(decider: Decider, job: Job, digest: str | None) -> str:
    with pytest.raises(NotAllowed) as refused:
        decider.confirm(job, later(60), Cause(), plan_digest=digest)
    return str(refused.value)


def test_the_plan_that_was_seen_is_confirmed(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1))
    assert decider.confirm(job, later(2), Cause(), plan_digest=FIRST).history[-1].data["plan_digest"] == FIRST


def test_a_plan_that_the_job_never_had_is_named_beside_the_one_that_it_has(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1))
    assert refusal(decider, job, SECOND) == (
        f"Cannot confirm the plan {SECOND}: the job never had it. Its plan is {FIRST}, made at 2026-01-01 00:00:01 UTC"
    )


def test_a_refusal_says_when_and_why_the_plan_was_made_again_and_what_has_changed(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1), create=3, update=1, error=2)
    job = decider.retry(decider.cancel(job, later(2), Cause()), later(3), Cause(by="usr_2"))
    job = planned(decider, job, SECOND, later(5), create=5, update=1)
    assert refusal(decider, job, FIRST) == (
        f"Cannot confirm the plan {FIRST}, made at 2026-01-01 00:00:01 UTC: the job has another plan since. It is {SECOND}, "
        "made at 2026-01-01 00:00:05 UTC, since the job was retried by usr_2 at 2026-01-01 00:00:03 UTC. "
        "What has changed: create 3 → 5, error 2 → 0"
    )


def test_without_a_digest_a_plan_is_confirmed_unless_one_is_required(decider: Decider, strict: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1))
    assert decider.confirm(job, later(2), Cause()).status is Status.CONFIRMED
    assert FIRST in refusal(strict, job, None)


def test_where_a_type_makes_no_digest_none_is_asked_for(decider: Decider, strict: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), None, later(1))
    assert strict.confirm(job, later(2), Cause()).status is Status.CONFIRMED
    assert "has no digest" in refusal(decider, job, FIRST)


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_early_confirmation_of_another_plan_is_refused_when_the_plan_is_there(
    decider: Decider, dry_run: bool
) -> None:
    job = new_job(decider, dry_run=dry_run)
    job = decider.confirm(job, later(0), Cause(event_id="t2", source="/shop"), early=True, plan_digest=SECOND)
    job = planned(decider, job, FIRST, later(1))
    told = next(entry for entry in job.history if entry.type == "batch.pre_processed").data["refused_confirmation"]
    assert isinstance(told, dict) and told["causationid"] == "t2" and FIRST in str(told["message"])
    assert (job.confirmed_early, job.confirmed_early_digest) == (None, None)
    if dry_run:
        assert job.status is Status.PRE_PROCESSED and job.confirm_by
    else:
        assert job.status is Status.CONFIRMED and job.history[-1].causationid is None


def test_an_early_confirmation_of_the_same_plan_is_honoured(decider: Decider) -> None:
    job = new_job(decider, dry_run=True)
    job = decider.confirm(job, later(0), Cause(event_id="t2", source="/shop"), early=True, plan_digest=FIRST)
    job = planned(decider, job, FIRST, later(1))
    assert (job.status, job.history[-1].causationid) == (Status.CONFIRMED, "t2")
    assert (job.confirmed_early, job.confirmed_early_digest) == (None, None)


def test_an_early_confirmation_without_a_digest_is_refused_where_one_is_required(strict: Decider) -> None:
    job = strict.confirm(new_job(strict, dry_run=True), later(0), Cause(event_id="t2", source="/shop"), early=True)
    assert planned(strict, job, None, later(1)).status is Status.CONFIRMED, "there is nothing to compare"
    assert planned(strict, job, FIRST, later(1)).status is Status.PRE_PROCESSED


# -- checking again ------------------------------------------------------------------------------------------------


def test_a_job_that_is_checked_again_is_as_if_it_had_just_been_created(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1), create=3)
    job = replace(job, result=replace(job.result or JobResult(), errors=("a cell",), error_count=1), failures=2)
    again = decider.check_again(job, later(10), Cause(by="usr_2"))
    fresh = (again.status, again.result, again.checkpoint, again.failures, again.confirm_by, dict(again.status_at))
    assert fresh == (Status.CREATED, None, None, 0, None, {})
    assert (again.ready_at, again.request_digest, again.created_at) == (later(10), job.request_digest, job.created_at)
    assert (again.history[-1].type, again.history[-1].data["status"]) == ("batch.updated", "created")
    assert [entry.type for entry in again.history].count("batch.created") == 1
    assert again.history[-1].data["earlier_plan_digest"] == FIRST
    planned_again = planned(decider, again, SECOND, later(12), create=3, update=1)
    assert planned_again.confirm_by == later(12) + decider.policy.confirm_within
    assert refusal(decider, planned_again, FIRST).endswith(
        "since the job was checked again by usr_2 at 2026-01-01 00:00:10 UTC. What has changed: update 0 → 1"
    )


def test_another_file_takes_the_place_of_the_first(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1))
    again = decider.check_again(job, later(2), Cause(), context={"fileKey": "mended.csv"})
    assert (again.context, again.prepared) == ({"fileKey": "mended.csv"}, True)
    assert again.history[-1].data["reason"] == "checked again with another file"


def test_the_event_names_the_files_of_the_earlier_plan(decider: Decider) -> None:
    job = planned(decider, new_job(decider, dry_run=True), FIRST, later(1))
    job = replace(job, result=JobResult(added={"files": {"PLAN": "plans/1", "strange": 5}}))
    assert decider.check_again(job, later(2), Cause()).history[-1].data["earlier_files"] == {"PLAN": "plans/1"}


@pytest.mark.parametrize("ends", ["failed", "canceled"])
def test_a_job_that_ended_before_it_was_confirmed_can_be_checked_again(decider: Decider, ends: str) -> None:
    job = decider.claim(new_job(decider, dry_run=True), "worker-1", later(1))
    job = decider.failed(job, later(2), "no", Cause()) if ends == "failed" else decider.cancel(job, later(2), Cause())
    if job.lease:
        with pytest.raises(NotAllowed, match="still stopping"):
            decider.check_again(job, later(3), Cause())
        job = decider.stopped(job, later(3), Cause())
    assert decider.check_again(job, later(4), Cause()).status is Status.CREATED


def test_what_was_confirmed_or_has_no_plan_yet_is_not_checked_again(decider: Decider) -> None:
    job = new_job(decider, dry_run=True)
    with pytest.raises(NotAllowed, match="that is created"):
        decider.check_again(job, later(1), Cause())
    job = decider.confirm(planned(decider, job, FIRST, later(1)), later(2), Cause())
    with pytest.raises(NotAllowed, match="that is confirmed"):
        decider.check_again(job, later(3), Cause())
    with pytest.raises(NotAllowed, match="may have been carried out"):
        decider.check_again(decider.cancel(job, later(3), Cause()), later(4), Cause())


def test_an_early_confirmation_does_not_count_for_the_plan_that_is_made_instead(decider: Decider) -> None:
    job = new_job(decider, dry_run=True)
    job = decider.confirm(job, later(0), Cause(event_id="t2", source="/shop"), early=True)
    job = decider.failed(decider.claim(job, "worker-1", later(1)), later(2), "no", Cause())
    again = decider.check_again(job, later(3), Cause())
    told = again.history[-1].data["refused_confirmation"]
    assert again.confirmed_early is None and isinstance(told, dict) and told["causationid"] == "t2"
    assert planned(decider, again, FIRST, later(4)).status is Status.PRE_PROCESSED

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

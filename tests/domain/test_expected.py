"""A job of a type that nobody served when it was made: what is said of it, when, and how often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy, due_at

START = datetime(2026, 1, 1, tzinfo=UTC)
BY = START + timedelta(minutes=5)
LATER = BY + timedelta(seconds=1)


@pytest.fixture
def decider() -> Decider:
    numbers = count(1)
    return Decider(Policy(), lambda: f"event-{next(numbers)}")


@pytest.fixture
def waiting(decider: Decider) -> Job:
    request = NewJob(
        id="batch_1", type="nobody", context={}, dry_run=False, created_by="x", request_digest="y", worker_by=BY
    )
    return replace(decider.create(request, START, Cause()), published=1)


def test_it_is_looked_at_when_a_worker_should_have_come_and_not_before(decider: Decider, waiting: Job) -> None:
    assert due_at(waiting, START, decider.policy) == BY
    assert decider.expected(waiting, BY - timedelta(milliseconds=1), served=False) is waiting


def test_that_nobody_serves_its_type_is_said_once(decider: Decider, waiting: Job) -> None:
    said = decider.expected(waiting, LATER, served=False)
    entry = said.history[-1]
    assert (entry.type, entry.data["unserved"], entry.data["status"]) == ("batch.updated", True, "created")
    assert "nobody" in str(entry.data["reason"])
    assert said.ready_at == waiting.ready_at, "it waits as before"
    assert decider.expected(said, LATER, served=False) is said
    assert due_at(replace(said, published=2), LATER, decider.policy) is None


def test_of_a_type_that_is_served_by_then_nothing_is_said(decider: Decider, waiting: Job) -> None:
    served = decider.expected(waiting, LATER, served=True)
    assert (served.history, served.worker_by) == (waiting.history, None)


def test_a_job_that_a_worker_has_taken_waits_for_none(decider: Decider, waiting: Job) -> None:
    claimed = decider.claim(waiting, "worker-1", START)
    assert claimed.worker_by is None
    assert decider.expected(claimed, LATER, served=False) is claimed


def test_a_job_that_was_called_off_waits_for_none(decider: Decider, waiting: Job) -> None:
    canceled = decider.cancel(waiting, START, Cause())
    assert decider.expected(canceled, LATER, served=False) is canceled
    assert due_at(replace(canceled, published=2), START, decider.policy) is None

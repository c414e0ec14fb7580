"""A job that has left records out says so when it is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, Decider
from batchbus_service.domain.result import JobResult
from batchbus_strategies import Json
from tests.domain.test_lifecycle import later, new_decider, new_job


def processing(decider: Decider) -> Job:
    return decider.pre_processed(decider.claim(new_job(decider), "worker-1", later(1)), later(2), Cause(), go_on=True)


def completed(decider: Decider, job: Job, result: JobResult) -> tuple[Json, Json]:
    done = decider.completed(replace(job, result=result), later(60), Cause())
    assert done.result is not None
    return done.result.value("left_out"), done.history[-1].data.get("left_out")


@pytest.mark.parametrize(
    ("result", "left_out"),
    [
        (JobResult(count=3), None),
        (JobResult(added={"outcome": {"created": 3, "unchanged": 1}}), None),
        (JobResult(added={"outcome": {"created": 3, "refused": 2, "conflict": 1}}, error_count=9), 3),
        (JobResult(added={"left_out": 7, "outcome": {"refused": 2}}), 7),
        (JobResult(errors=("Line 2: no",), error_count=1, error_parts={"process-1": 1}), 1),
        (JobResult(errors=("OSError: gone",), error_count=1), None),
    ],
)
def test_what_was_left_out_is_in_the_result_and_in_the_event(result: JobResult, left_out: int | None) -> None:
    decider = new_decider()
    assert completed(decider, processing(decider), result) == (left_out, left_out)


def test_the_error_of_a_run_that_was_lost_is_no_record() -> None:
    decider = new_decider()
    job = decider.run_lost(processing(decider), later(3), "OSError: gone", Cause())
    job = decider.no_room(decider.claim(job, "worker-2", later(9)), later(10), "no room", Cause())
    job = decider.claim(job, "worker-2", later(90))
    result = JobResult(errors=("OSError: gone", "Line 2: no"), error_count=2, error_parts={"process-3": 1})
    assert completed(decider, job, result) == (1, 1)

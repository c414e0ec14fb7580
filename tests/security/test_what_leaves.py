"""What cells say stays with the job and its files: the events, which every subscriber reads, and the log have line and column."""

from __future__ import annotations

from batchbus_service.domain.lifecycle import Cause
from batchbus_service.execution.isolation.messages import error_from, error_to
from batchbus_strategies import StrategyError
from batchbus_strategies.tables import TableError
from tests.domain.test_lifecycle import later, new_decider, new_job

SECRET = "4111 1111 1111 1111"


def test_the_value_of_a_cell_is_in_the_job_and_not_in_its_events() -> None:
    error = TableError("this is no number", line=7, column="Card", value=SECRET)
    decider = new_decider()
    job = decider.claim(new_job(decider), "worker-1", later(1))
    job = decider.failed(job, later(2), str(error), Cause(), public=error.without_values)
    assert job.result and SECRET in job.result.errors[0]
    assert job.history[-1].data["error"] == 'Line 7, column "Card": this is no number'


def test_a_child_process_hands_on_what_may_be_said() -> None:
    error = error_from(error_to(TableError("no", line=7, value=SECRET), ""))
    assert isinstance(error, StrategyError)
    assert (SECRET in str(error), error.without_values) == (True, "Line 7: no")
    plain = error_from(error_to(StrategyError("no"), ""))
    assert isinstance(plain, StrategyError) and plain.without_values is None

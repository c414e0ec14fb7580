"""What cells say stays with the job and its files: the events, which every subscriber reads, and the log have line and column."""

from __future__ import annotations

from typing import Final

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError
from structlog.testing import capture_logs

from batchbus_service.domain.lifecycle import Cause
from batchbus_service.execution.execution import error_text, public_text, traceback_of
from batchbus_service.execution.isolation.messages import error_from, error_to
from batchbus_strategies import StrategyError
from batchbus_strategies.tables import TableError
from tests.domain.test_lifecycle import later, new_decider, new_job
from tests.engine.installation import Installation

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
    plain = error_from(error_to(StrategyError(f"no {SECRET}"), ""))
    assert isinstance(plain, StrategyError) and SECRET not in plain.for_events()
    public = error_from(error_to(StrategyError("no", public=True), ""))
    assert isinstance(public, StrategyError) and public.for_events() == "no"
    other = error_from(error_to(_raised(KeyError(SECRET)), traceback_of(_raised(KeyError(SECRET)))))
    assert SECRET in error_text(other) and SECRET not in public_text(other) + traceback_of(other)
    assert "KeyError" in traceback_of(other) and "test_what_leaves.py" in traceback_of(other)


ERRORS: Final[dict[str, BaseException]] = {
    "an error of the strategy": StrategyError(f"no {SECRET}"),
    "one that says what may be said": StrategyError(f"no {SECRET}", without_values="no"),
    "a table": TableError("no", line=7, value=SECRET),
    "a key": KeyError(SECRET),
    "a number": ValueError(f"invalid literal for int(): {SECRET!r}"),
    "a duplicate": DuplicateKeyError(
        f'E11000 duplicate key error collection: shop.cards index: card_1 dup key: {{ card: "{SECRET}" }}',
        11000,
        {"code": 11000, "keyValue": {"card": SECRET}, "errmsg": f"E11000 duplicate key error {SECRET}"},
    ),
    "a bulk": BulkWriteError(
        {
            "writeErrors": [
                {
                    "index": 1,
                    "code": 11000,
                    "errmsg": f'E11000 duplicate key error collection: shop.cards index: card_1 dup key: {{ card: "{SECRET}" }}',
                    "keyValue": {"card": SECRET},
                    "op": {"card": SECRET},
                }
            ]
        }
    ),
    "a refused document": WriteError(f"Document failed validation: {SECRET}", 121, {"code": 121}),
    "a document that cannot be stored": InvalidDocument(f"cannot encode object: {SECRET}"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_no_error_hands_a_value_on_to_events_or_the_log(error: BaseException) -> None:
    cause = ValueError(SECRET)
    with pytest.raises(type(error)) as raised:
        raise error from cause
    assert SECRET in error_text(raised.value)
    assert SECRET not in public_text(raised.value)
    assert SECRET not in traceback_of(raised.value)


async def test_what_an_error_says_is_in_the_job_and_neither_in_an_event_nor_in_a_line_of_the_log(
    installation: Installation,
) -> None:
    """Of both places where strategies run, and of both ends of a run: another try, and the end of the job."""
    with capture_logs() as logs:
        async with installation.worker(max_attempts=2):
            jobs = [
                await installation.create(batch_type, value=SECRET, how=how)
                for batch_type in ("telling", "telling-isolated")
                for how in ("error", "strategy_error", "cause")
            ]
            await installation.followed.every("batch.failed", jobs)
    for job_id in jobs:
        result = (await installation.job(job_id)).result
        assert result is not None and all(SECRET in error for error in result.errors)
        assert SECRET not in str([event.data for event in installation.followed.lifecycle(job_id)])
    assert [line for line in logs if SECRET in str(line)] == []


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as raised:
        return raised

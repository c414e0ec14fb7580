"""What becomes of one job: the ways through its phases, errors and retries, as a subscriber sees them."""

from __future__ import annotations

import pytest

from batchbus_service.app.bootstrap import Timeouts
from batchbus_service.domain.job import Status
from batchbus_service.domain.result import JobResult
from batchbus_service.execution.job_run import MAX_RESULT_BYTES
from tests.engine.installation import Installation

TO_PROCESSING = ["created", "pre_processed", "confirmed", "processing"]


async def test_a_job_goes_from_its_trigger_to_its_last_event(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("noop")
        await installation.followed.event("batch.completed", job_id)
    assert installation.followed.types(job_id) == [*TO_PROCESSING, "completed"]
    job = await installation.job(job_id)
    assert (job.status, job.published, job.lease, job.ready_at, job.wake_at) == (Status.COMPLETED, 5, None, None, None)


async def test_a_dry_run_rests_until_it_is_confirmed(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("chunks", dry_run=True)
        rests = await installation.followed.event("batch.pre_processed", job_id)
        assert rests.data["count"] == 3
        trigger = await installation.confirm(job_id)
        completed = await installation.followed.event("batch.completed", job_id)
    confirmed = installation.followed.all("batch.confirmed", job_id)[0]
    assert confirmed.causationid == trigger
    assert completed.data["advancement_count"] == 3


async def test_progress_is_told_and_the_last_of_it_comes_before_the_end(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("chunks", chunks=20, seconds=0.02)
        await installation.followed.event("batch.completed", job_id)
    told = [event.data for event in installation.followed.events if event.subject == job_id and event.sequence is None]
    shares = [float(str(data["progress"])) for data in told if data["phase"] == "process"]
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert installation.followed.events[-1].type == "batch.completed"


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_type", ["failing", "failing-thread"])
@pytest.mark.parametrize("phase", ["pre_process", "process"])
async def test_a_strategy_error_fails_the_job_at_once(installation: Installation, batch_type: str, phase: str) -> None:
    async with installation.worker():
        job_id = await installation.create(batch_type, how="strategy_error", phase=phase)
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["error"] == "There is no such file"
    assert failed.data["run"] == 1


@pytest.mark.parametrize("batch_type", ["failing", "failing-thread"])
async def test_a_run_that_fails_is_tried_again_later(installation: Installation, batch_type: str) -> None:
    async with installation.worker():
        job_id = await installation.create(batch_type, runs=1)
        await installation.followed.event("batch.completed", job_id)
    assert installation.followed.types(job_id) == [*TO_PROCESSING, "updated", "completed"]
    failed, completed = installation.followed.lifecycle(job_id)[4:]
    assert (_shown(failed.data["error"]), failed.data["run"], completed.data["run"]) == ("OSError", 1, 2)
    assert failed.time is not None and completed.time is not None
    assert (completed.time - failed.time).total_seconds() >= 0.5, "the first back-off is a second, give or take a half"
    assert (await installation.job(job_id)).result == JobResult(errors=("OSError: run 1 failed",), error_count=1)


async def test_a_job_whose_runs_fail_again_and_again_is_failed_with_every_error_kept(
    installation: Installation,
) -> None:
    async with installation.worker(max_attempts=2):
        job_id = await installation.create("failing")
        failed = await installation.followed.event("batch.failed", job_id)
    assert _shown(failed.data["error"]) == "OSError"
    assert installation.followed.types(job_id) == [*TO_PROCESSING, "updated", "failed"]
    errors = ("OSError: run 1 failed", "OSError: run 2 failed")
    assert (await installation.job(job_id)).result == JobResult(errors=errors, error_count=2)


async def test_a_strategy_can_say_that_another_try_is_hopeless(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("failing", how="hopeless")
        failed = await installation.followed.event("batch.failed", job_id)
    assert (_shown(failed.data["error"]), failed.data["run"]) == ("LookupError", 1)
    result = (await installation.job(job_id)).result
    assert result is not None and result.errors == ("LookupError: nothing will help",)


@pytest.mark.parametrize("batch_type", ["failing", "failing-thread"])
async def test_a_strategy_that_exits_fails_its_own_run_and_no_more(installation: Installation, batch_type: str) -> None:
    async with installation.worker(max_attempts=1):
        exits = await installation.create(batch_type, how="exit")
        failed = await installation.followed.event("batch.failed", exits)
        other = await installation.create("noop")
        await installation.followed.event("batch.completed", other)
    assert "SystemExit" in str(failed.data["error"])


async def test_the_failures_that_count_are_those_since_the_last_checkpoint(installation: Installation) -> None:
    async with installation.worker(max_attempts=2):
        job_id = await installation.create("limping", chunks=3)
        await installation.followed.event("batch.completed", job_id)
    assert len(installation.followed.all("batch.updated", job_id)) == 2


async def test_errors_of_rows_are_told_once_however_often_their_run_begins_again(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("sloppy")
        completed = await installation.followed.event("batch.completed", job_id)
    result = (await installation.job(job_id)).result or JobResult()
    assert result.errors == ("Line 2: previewed", "Line 3: kept", "OSError: run 1 failed", "Line 4: repeated")
    assert result.error_count == 4
    assert completed.data["errors"] == 4


async def test_a_retry_by_an_operator_resumes_from_the_checkpoint(installation: Installation) -> None:
    async with installation.worker(max_attempts=1) as service:
        job_id = await installation.create("chunks", chunks=4, fail_at=2)
        await installation.followed.event("batch.failed", job_id)
        await installation.retry(service, job_id)
        completed = await installation.followed.event("batch.completed", job_id)
    traces = await installation.catalog.traces.find({"job": job_id}).sort("chunk").to_list(None)
    assert [(trace["run"], trace["chunk"]) for trace in traces] == [(1, 0), (1, 1), (2, 2), (2, 3)]
    assert (completed.data["count"], completed.data["advancement_count"], completed.data["progress"]) == (4, 4, 1.0)
    assert installation.followed.types(job_id)[4:] == ["failed", "confirmed", "processing", "completed"]


async def test_a_run_without_a_sign_of_life_is_failed(installation: Installation) -> None:
    async with installation.worker(max_attempts=1, timeouts=Timeouts(cancel_grace=0.2)):
        job_id = await installation.create("stalled", gate=str(installation.gate()))
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["error"] == "The run made no progress for 1 seconds"


# -- what cannot be kept -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [MAX_RESULT_BYTES + 1, 17_000_000])
async def test_a_result_too_large_is_dropped_and_the_job_failed_with_the_reason(
    installation: Installation, size: int
) -> None:
    async with installation.worker():
        job_id = await installation.create("large", size=size)
        failed = await installation.followed.event("batch.failed", job_id)
    assert f"a job may keep {MAX_RESULT_BYTES:,}" in str(failed.data["error"])
    assert (await installation.job(job_id)).result == JobResult(errors=(str(failed.data["error"]),), error_count=1)


async def test_a_result_too_large_costs_no_lease_while_the_run_goes_on(installation: Installation) -> None:
    async with installation.worker(lease_seconds=1):
        job_id = await installation.create("large", size=17_000_000, seconds=2.5)
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["run"] == 1
    assert "result was dropped" in str(failed.data["error"])


@pytest.mark.parametrize(("what", "key"), [("integer", "number"), ("object", "thing"), ("key", "a\\x00b")])
async def test_a_result_that_cannot_be_stored_fails_the_job_and_the_error_names_its_key(
    installation: Installation, what: str, key: str
) -> None:
    async with installation.worker():
        job_id = await installation.create("odd", what=what)
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["run"] == 1
    assert f"result.{key}" in str(failed.data["error"])


async def test_an_error_of_any_length_and_with_any_characters_is_told(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("odd", what="error")
        failed = await installation.followed.event("batch.failed", job_id)
    assert str(failed.data["error"]).startswith("half a \\ud800 pair, and xxx")
    assert len(str(failed.data["error"])) < 2_000


async def test_a_message_of_progress_of_any_length_and_with_any_characters_harms_nothing(
    installation: Installation,
) -> None:
    async with installation.worker():
        job_id = await installation.create("odd", what="message")
        await installation.followed.event("batch.completed", job_id)


# -- the context -------------------------------------------------------------------------------------------------------


async def test_a_context_that_the_strategy_does_not_take_fails_the_job_with_every_fault(
    installation: Installation,
) -> None:
    async with installation.worker():
        job_id = await installation.create("picky", name="much too long", rows=[1, "two"])
        failed = await installation.followed.event("batch.failed", job_id)
    assert "name: " in str(failed.data["error"])
    assert "rows.1: " in str(failed.data["error"])


async def test_a_job_that_prepare_refuses_is_failed(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("picky", name="nobody")
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["error"] == "Nobody may do that"


async def test_what_prepare_and_the_phases_add_to_the_context_is_kept(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("picky", name="somebody", nested={"a": "b"})
        await installation.followed.event("batch.completed", job_id)
    job = await installation.job(job_id)
    assert job.context["nested"] == {"a": "b", "actor": job.created_by}
    assert job.result == JobResult({"nested": job.context["nested"]})
    assert job.context["seen_by"] == "process"


async def test_a_job_for_which_there_is_no_room_waits_without_a_slot_and_that_is_no_failure(
    installation: Installation,
) -> None:
    async with installation.worker(worker_slots=1, max_attempts=1) as service:
        job_id = await installation.create("no-room", gate=str(installation.gate()))
        waits = await installation.until(job_id, lambda job: job.no_room_since is not None and job.lease is None)
        assert (waits.status, waits.failures) == (Status.PROCESSING, 0)
        assert waits.ready_at is not None and waits.ready_at > service.transitions.clock.now()
        told = await installation.followed.event("batch.updated", job_id)
        assert told.data["error"] == "The file store has no room"
        await installation.followed.event("batch.completed", await installation.create("noop"))
        installation.gate().touch()
        await installation.database.jobs.update_one({"_id": job_id}, {"$set": {"ready_at": waits.updated_at}})
        await installation.followed.event("batch.completed", job_id)
    assert (await installation.job(job_id)).no_room_since is None


def _shown(error: object) -> str:
    """The type of an error that an event names, with where it was raised, and without its message."""
    kind, _, rest = str(error).partition(" in ")
    assert rest.endswith("): the job has the message"), error
    return kind

"""What a strategy hands over or raises: whatever it is, its own job says what was wrong, and nothing else is harmed."""

from __future__ import annotations

import pytest

from batchbus_service.domain.job import Status
from batchbus_service.domain.result import JobResult
from tests.engine.batch_types.rude import NOT_JSON, RAISED
from tests.engine.installation import Installation


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("prepare", "context.at"),
        ("result", "result.at"),
        ("within the result", "result.deep.at"),
        ("context", "context.deep.0.at"),
        ("checkpoint", "checkpoint.at"),
    ],
)
async def test_what_is_not_json_fails_the_job_at_once_and_the_error_names_its_key(
    installation: Installation, where: str, key: str
) -> None:
    async with installation.worker(worker_slots=10, worker_preview_slots=10):
        jobs = {what: await installation.create("handing", what=what, where=where) for what in NOT_JSON}
        for what, job_id in jobs.items():
            failed = await installation.followed.event("batch.failed", job_id)
            assert key in str(failed.data["error"]), what
            assert failed.data["run"] == 1, what
            assert (await installation.job(job_id)).status is Status.FAILED


@pytest.mark.parametrize("batch_type", ["raising", "raising-thread"])
@pytest.mark.parametrize("where", ["prepare", "pre_process", "process", "should_retry"])
async def test_whatever_a_strategy_raises_becomes_a_failed_run_with_its_reason(
    installation: Installation, batch_type: str, where: str
) -> None:
    some = RAISED if where == "process" else ("StopIteration", "SystemExit", "RunCanceled", "_Silent")
    async with installation.worker(max_attempts=1, worker_slots=12, worker_preview_slots=12, lease_seconds=30):
        jobs = {what: await installation.create(batch_type, what=what, where=where) for what in some}
        for what, job_id in jobs.items():
            failed = await installation.followed.event("batch.failed", job_id)
            expected = "OSError" if where == "should_retry" else what.split()[-1]
            result = (await installation.job(job_id)).result
            assert result is not None and expected in result.errors[-1], what
            assert failed.data["run"] == 1
        other = await installation.create("noop")
        await installation.followed.event("batch.completed", other)


async def test_a_validator_that_exits_fails_its_own_job(installation: Installation) -> None:
    async with installation.worker(max_attempts=1):
        job_id = await installation.create("raising", what="SystemExit", where="validator")
        failed = await installation.followed.event("batch.failed", job_id)
    assert "SystemExit" in str(failed.data["error"])


@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
async def test_a_task_left_behind_does_not_stop_the_other_strategies(installation: Installation, what: str) -> None:
    async with installation.worker(max_attempts=1):
        await installation.create("stray", what=what, where="")
        other = await installation.create("chunks")
        await installation.followed.event("batch.completed", other)


async def test_using_the_catalogue_from_elsewhere_fails_that_job_alone_and_says_what_to_do(
    installation: Installation,
) -> None:
    async with installation.worker():
        # As the first one to use it since the start: a client is not bound by whoever that is.
        for how in "own loop", "no loop":
            job_id = await installation.create("elsewhere", how=how)
            failed = await installation.followed.event("batch.failed", job_id)
            assert failed.data["run"] == 1
            assert "run.sync.catalog" in str(failed.data["error"])
        other = await installation.create("chunks")
        await installation.followed.event("batch.completed", other)
        right = await installation.create("elsewhere", how="pymongo")
        await installation.followed.event("batch.completed", right)
    assert (await installation.job(right)).result == JobResult({"traces": 3})

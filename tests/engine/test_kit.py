"""What a run offers besides its chunks: wherever the strategy is executed, it works, and a cancellation ends it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from batchbus_service.app.bootstrap import Timeouts
from batchbus_service.domain.job import Status
from batchbus_service.domain.result import JobResult
from tests.engine.installation import Installation
from tests.execution.ending import ended, written

NEVER = Timeouts(cancel_grace=1000, stuck=1000)
"""Nothing is ended by force, so that what ends has ended by itself."""
KINDS = pytest.mark.parametrize("batch_type", ["kit", "kit-thread", "kit-isolated", "kit-isolated-thread"])


@KINDS
@pytest.mark.parametrize("what", ["sleep", "retry"])
async def test_a_cancellation_ends_what_a_run_waits_for(installation: Installation, batch_type: str, what: str) -> None:
    async with installation.worker(timeouts=NEVER):
        job_id = await installation.create(batch_type, what=what)
        await installation.followed.message(job_id, "waiting")
        await installation.cancel(job_id)
        job = await installation.until(job_id, lambda job: job.terminal and job.lease is None)
    assert (job.status, job.result and job.result.added) == (Status.CANCELED, {"cleaned_up": True})


@KINDS
async def test_a_cancellation_ends_the_wait_for_a_permit(installation: Installation, batch_type: str) -> None:
    async with installation.worker(timeouts=NEVER):
        job_id = await installation.create(batch_type, what="limit", times=3)
        await installation.followed.message(job_id, "permit 0")
        await installation.cancel(job_id)
        job = await installation.until(job_id, lambda job: job.terminal and job.lease is None)
    assert (job.status, job.result and job.result.added) == (Status.CANCELED, {"cleaned_up": True})


async def test_a_limit_holds_over_all_workers_and_all_kinds_of_strategies(installation: Installation) -> None:
    per_second, times = 20, 15
    async with installation.worker_process(), installation.worker_process():
        jobs = [
            await installation.create(kind, what="limit", per_second=per_second, times=times)
            for kind in ("kit", "kit", "kit-thread", "kit-isolated")
        ]
        await installation.followed.every("batch.completed", jobs)
    moments = [moment async for each in installation.catalog["permits"].find({}) for moment in each["moments"]]
    assert len(moments) == len(jobs) * times
    assert max(Counter(map(int, moments)).values()) <= per_second


@KINDS
async def test_a_job_keeps_an_error_of_the_driver_in_one_sentence(installation: Installation, batch_type: str) -> None:
    with capture_logs() as logs:
        async with installation.worker(max_attempts=1):
            job_id = await installation.create(batch_type, what="duplicate")
            failed = await installation.followed.event("batch.failed", job_id)
    sentence = f'The write with index 1 of a bulk to things was refused: its _id "{job_id}" is taken already (unique index _id_).'
    shown = "A bulk for things was refused: a value is taken already (unique index _id_)."
    assert failed.data["error"] == shown
    job = await installation.job(job_id)
    assert job.result is not None and sentence in job.result.errors[-1]
    (told,) = [line for line in logs if line["event"] == "run_failed"]
    assert told["reason"] == shown
    assert "BulkWriteError" in told["exception"] and job_id not in told["exception"]


@KINDS
async def test_a_run_computes_in_a_process_that_ends_with_the_worker(
    installation: Installation, tmp_path: Path, batch_type: str
) -> None:
    async with installation.worker():
        job_id = await installation.create(batch_type, what="compute", place=str(tmp_path / "process"))
        await installation.followed.event("batch.completed", job_id)
    assert (await installation.job(job_id)).result == JobResult({"alone": True}, advancement_count=1)
    assert await ended(int((tmp_path / "process").read_text()))


@KINDS
async def test_a_cancellation_ends_what_a_run_computes(
    installation: Installation, tmp_path: Path, batch_type: str
) -> None:
    async with installation.worker(timeouts=NEVER):
        job_id = await installation.create(batch_type, what="compute for ever", place=str(tmp_path / "process"))
        process = await written(tmp_path / "process")
        await installation.cancel(job_id)
        job = await installation.until(job_id, lambda job: job.terminal and job.lease is None)
        assert await ended(process)
    assert (job.status, job.result and job.result.added) == (Status.CANCELED, {"cleaned_up": True})


@pytest.mark.parametrize("batch_type", ["kit", "kit-isolated"])
async def test_a_computation_ends_with_its_worker_even_if_that_is_killed(
    installation: Installation, tmp_path: Path, batch_type: str
) -> None:
    async with installation.worker_process() as worker:
        await installation.create(batch_type, what="compute for ever", place=str(tmp_path / "process"))
        process = await written(tmp_path / "process")
        await worker.kill()
        assert await ended(process)


@KINDS
async def test_a_computation_that_dies_is_in_the_job_in_one_sentence(
    installation: Installation, batch_type: str
) -> None:
    async with installation.worker(max_attempts=1):
        job_id = await installation.create(batch_type, what="compute and die")
        failed = await installation.followed.event("batch.failed", job_id)
    assert failed.data["error"] == "The process of the computation ended by SIGKILL. It left no traceback."


@KINDS
async def test_a_worker_that_stops_ends_what_a_run_waits_for(installation: Installation, batch_type: str) -> None:
    async with installation.worker(timeouts=NEVER):
        job_id = await installation.create(batch_type)
        await installation.followed.message(job_id, "waiting")
    job = await installation.job(job_id)
    assert (job.status, job.lease, job.failures) == (Status.PROCESSING, None, 0)


@pytest.mark.parametrize("batch_type", ["kit-thread", "kit-isolated-thread"])
async def test_a_thread_reads_and_writes_files_and_the_catalogue(installation: Installation, batch_type: str) -> None:
    async with installation.worker():
        job_id = await installation.create(batch_type, what="files")
        await installation.followed.event("batch.completed", job_id)
    trace = await installation.catalog.traces.find_one({"job": job_id})
    assert trace is not None and trace["written"] == "written in a thread"

"""Runs in processes of their own: what they end, and what they do not."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import AsyncExitStack

import pytest

from batchbus_service.app.bootstrap import Timeouts
from batchbus_service.domain.job import Status
from batchbus_service.domain.result import JobResult
from tests.engine.installation import Installation
from tests.long import LONG
from tests.patience import PATIENCE

INNOCENT, GUILTY = (12, 4) if LONG else (6, 2)
WORDS = {
    "segfault": "ended by SIGSEGV",
    "exit": "ended with exit code 3",
    "kill": "ended by SIGKILL",
    "memory": "needed more than 256 MiB",
}


@pytest.mark.parametrize("batch_type", ["dying-isolated", "dying-isolated-thread"])
async def test_a_job_that_ends_its_process_for_the_second_time_has_failed(
    installation: Installation, batch_type: str
) -> None:
    async with installation.worker(isolated_memory_mib=256):
        jobs = {how: await installation.create(batch_type, how=how) for how in WORDS}
        neighbour = await installation.create("chunks", chunks=5, seconds=0.5)
        await installation.followed.every("batch.failed", jobs.values())
        await installation.followed.event("batch.completed", neighbour)
    for how, job_id in jobs.items():
        job = await installation.job(job_id)
        assert (job.crashes, job.lost_runs) == (2, 0)
        error = str(job.history[-1].data["error"])
        assert WORDS[how] in error
        assert "It had advanced to" in error
        if how != "kill":  # that leaves no traceback
            assert "dying.py" in error, error


async def test_a_job_that_gets_on_before_its_process_ends_goes_on(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("dying-behind-checkpoints", how="kill", chunks=2)
        await installation.followed.event("batch.completed", job_id)
    assert len([event for event in installation.followed.all("batch.updated", job_id) if "error" in event.data]) == 2


async def test_jobs_that_end_their_workers_fail_alone(installation: Installation) -> None:
    """A few such jobs among others; each worker that ends is started again, as a supervisor does."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:

        async def supervised() -> None:
            while True:
                worker = await stack.enter_async_context(
                    installation.worker_process(lease_seconds=2, worker_slots=16, timeouts=Timeouts(publish_grace=1.0))
                )
                await worker.ended()

        supervisors = [group.create_task(supervised()) for _ in range(2)]
        innocent = [await installation.create("chunks", chunks=10, seconds=0.3) for _ in range(INNOCENT)]
        guilty = [await installation.create("dying", how="kill") for _ in range(GUILTY)]
        await installation.followed.every("batch.failed", guilty)
        await installation.followed.every("batch.completed", innocent)
        for supervisor in supervisors:
            supervisor.cancel()
    for job_id in innocent:
        job = await installation.job(job_id)
        assert (job.status, job.failures) == (Status.COMPLETED, 0)
    for job_id in guilty:
        assert "SIGKILL" in str((await installation.job(job_id)).history[-1].data["error"])


async def test_the_next_run_of_a_lost_one_has_a_process_of_its_own(installation: Installation) -> None:
    async with installation.worker_process(lease_seconds=1) as killed:
        job_id = await installation.create("chunks", chunks=6, seconds=0.3)
        await installation.followed.message(job_id, "chunk 1")
        await killed.kill()
    async with installation.worker(lease_seconds=1):
        await installation.followed.event("batch.completed", job_id)
    traces = await installation.catalog.traces.find({"job": job_id}).sort("at").to_list(None)
    assert sorted({trace["chunk"] for trace in traces}) == list(range(6))
    assert len(traces) <= 7
    assert traces[-1]["process"] not in (killed.pid, os.getpid())


async def test_a_child_has_none_of_the_settings(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("alone")
        await installation.followed.event("batch.completed", job_id)
    assert (await installation.job(job_id)).result == JobResult({"settings": []}, advancement_count=1)
    trace = await installation.catalog.traces.find_one({"job": job_id})
    assert trace is not None and trace["process"] != os.getpid()


async def test_a_child_ends_with_its_worker_even_if_that_is_killed(installation: Installation) -> None:
    async with installation.worker_process() as worker:
        job_id = await installation.create("alone", seconds=1000.0)
        await installation.followed.message(job_id, "here")
        trace = await installation.catalog.traces.find_one({"job": job_id})
        assert trace is not None
        child = os.pidfd_open(trace["process"])
        try:
            await worker.kill()
            assert await asyncio.to_thread(_has_ended, child)
        finally:
            os.close(child)


async def test_a_canceled_run_that_does_not_stop_is_ended_and_cleaned_up_after(installation: Installation) -> None:
    async with installation.worker(timeouts=Timeouts(cancel_grace=0.1, stuck=1.0)):
        job_id = await installation.create("alone-deaf")
        await installation.followed.message(job_id, "here")
        await installation.cancel(job_id)
        job = await installation.until(job_id, lambda job: job.terminal and job.lease is None)
    assert (job.status, job.result and job.result.added["cleaned_up_in"]) == (Status.CANCELED, "process")


async def test_a_run_that_does_not_stop_with_its_worker_is_ended_and_given_back(installation: Installation) -> None:
    async with installation.worker(timeouts=Timeouts(cancel_grace=0.1)):
        job_id = await installation.create("alone-deaf")
        await installation.followed.message(job_id, "here")
    job = await installation.job(job_id)
    assert (job.status, job.lease, job.failures, job.suspected) == (Status.PROCESSING, None, 0, False)


def _has_ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(PATIENCE * 1000))

"""Workers that are stopped, killed and frozen: every job ends all the same, once, and its events are all published."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from batchbus_service.app.bootstrap import Timeouts
from batchbus_service.domain.job import Status
from tests.engine.installation import Installation
from tests.long import LONG
from tests.rabbitmq_node import RabbitNode

JOBS = 100 if LONG else 40
IMPATIENT = Timeouts(publish_grace=1.0, cancel_grace=0.5)


async def traces(installation: Installation, job_id: str) -> list[dict[str, Any]]:
    """What the chunks of a job have left, in the order in which that was written."""
    return await installation.catalog.traces.find({"job": job_id}).sort("at").to_list(None)


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_jobs_outlive_their_only_worker(installation: Installation, ending: str) -> None:
    async with installation.worker_process(timeouts=IMPATIENT, lease_seconds=2) as worker:
        running = [await installation.create("chunks", chunks=10, seconds=0.1) for _ in range(4)]
        await installation.followed.every("batch.processing", running)
        rest = await asyncio.gather(*(installation.create("chunks", chunks=1) for _ in range(JOBS)))
        await installation.followed.event("batch.created", nth=10)
        await getattr(worker, ending)()
    left = len(installation.followed.all("batch.completed"))
    assert left < 4 + JOBS, "the worker was not to get everything done"
    async with installation.worker_process(timeouts=IMPATIENT, lease_seconds=2):
        await installation.followed.every("batch.completed", [*running, *rest])
        await installation.all_published()
    for job_id in running:
        done = await traces(installation, job_id)
        assert sorted({trace["chunk"] for trace in done}) == list(range(10))
        assert len(done) <= 11, "a crash costs at most one chunk of repeated work"
    if ending == "stop":
        assert not [event for event in installation.followed.all("batch.updated") if "error" in event.data]


async def test_a_worker_that_is_stopped_gives_its_jobs_to_the_others_at_once(installation: Installation) -> None:
    async with installation.worker_process(lease_seconds=60) as stops, installation.worker_process(lease_seconds=60):
        jobs = [await installation.create("chunks", chunks=20, seconds=0.1) for _ in range(4)]
        await installation.followed.every("batch.processing", jobs)
        assert await stops.stop() == 0
        await installation.followed.every("batch.completed", jobs)
    for job_id in jobs:
        assert [trace["chunk"] for trace in await traces(installation, job_id)] == list(range(20))


async def test_a_chunk_that_is_written_when_its_worker_stops_gets_its_checkpoint(installation: Installation) -> None:
    gate = installation.gate()
    async with installation.worker() as service:
        assert service.worker is not None
        job_id = await installation.create("gated-write", gate=str(gate))
        await installation.written(job_id)
        stopping = asyncio.create_task(service.worker.close())
        await asyncio.sleep(0)  # one turn of the loop: the run has been told
        gate.touch()
        await stopping
        assert (await installation.job(job_id)).status is Status.PROCESSING
    async with installation.worker():
        await installation.followed.event("batch.completed", job_id)
    assert [trace["chunk"] for trace in await traces(installation, job_id)] == [0, 1]


@pytest.mark.parametrize("batch_type", ["fenced-chunks", "fenced-chunks-thread"])
async def test_a_step_that_a_killed_worker_has_done_is_not_done_again(
    installation: Installation, batch_type: str
) -> None:
    async with installation.worker_process(timeouts=IMPATIENT, lease_seconds=1) as worker:
        jobs = [await installation.create(batch_type, chunks=10, seconds=0.2) for _ in range(4)]
        await installation.followed.every("batch.progress", jobs)
        await worker.kill()
    async with installation.worker_process(timeouts=IMPATIENT, lease_seconds=1):
        await installation.followed.every("batch.completed", jobs)
    counts = {each["_id"]: each["count"] for each in await installation.catalog.counts.find().to_list(None)}
    assert counts == {f"{job_id} {name}": 10 if name == "all" else 1 for job_id in jobs for name in (*range(10), "all")}


async def test_a_frozen_worker_that_wakes_up_writes_nothing_any_more(installation: Installation) -> None:
    async with installation.worker_process(lease_seconds=1, timeouts=IMPATIENT) as frozen:
        job_id = await installation.create("chunks", chunks=40, seconds=0.05)
        await installation.followed.message(job_id, "chunk 3")
        frozen.freeze()
        async with installation.worker_process(lease_seconds=1, timeouts=IMPATIENT):
            await installation.followed.until(
                lambda: any(event.data["run"] == 2 for event in installation.followed.all("batch.progress", job_id))
            )
            frozen.thaw()
            await installation.followed.event("batch.completed", job_id)
            await installation.all_published()
            assert await frozen.stop() == 0
    done = await traces(installation, job_id)
    assert [trace["run"] for trace in done] == sorted(trace["run"] for trace in done)
    assert sorted({trace["chunk"] for trace in done}) == list(range(40))
    assert len(installation.followed.all("batch.completed", job_id)) == 1
    assert frozen.logged("run_lost")


async def test_what_a_process_wrote_and_did_not_publish_is_published_by_another(
    installation: Installation, rabbit_node: RabbitNode
) -> None:
    async with installation.worker_process(timeouts=IMPATIENT) as killed:
        job_id = await installation.create("gated", gate=str(installation.gate()))
        await installation.followed.message(job_id, "at the gate")
        await asyncio.to_thread(rabbit_node.stop)
        installation.gate().touch()
        job = await installation.until(job_id, lambda job: job.status is Status.COMPLETED)
        assert job.published < len(job.history)
        await killed.kill()
    await asyncio.to_thread(rabbit_node.start)
    async with installation.worker_process(timeouts=IMPATIENT) as other:
        await installation.followed.event("batch.completed", job_id)
        await installation.all_published()
        assert other.logged("events_found_unpublished")


async def test_a_strategy_that_cannot_be_stopped_takes_its_worker_with_it_but_no_other_job(
    installation: Installation,
) -> None:
    timeouts = Timeouts(cancel_grace=0.2, stuck=1.0)
    async with installation.worker_process(lease_seconds=60, timeouts=timeouts) as worker:
        stuck = await installation.create("deaf-thread", gate=str(installation.gate("never")))
        await installation.followed.message(stuck, "at the gate")
        other = await installation.create("chunks", chunks=100, seconds=0.1)
        await installation.followed.message(other, "chunk 3")
        await installation.cancel(stuck)
        assert await worker.ended() == 70
    job = await installation.job(other)
    assert (job.status, job.lease, job.failures) == (Status.PROCESSING, None, 0)
    assert job.ready_at is not None


async def test_a_worker_stops_in_time_although_a_strategy_blocks_the_loop(installation: Installation) -> None:
    async with installation.worker_process(timeouts=Timeouts(cancel_grace=0.2)) as worker:
        job_id = await installation.create("blocking", seconds=60)
        await installation.followed.message(job_id, "blocking")
        assert await worker.stop() == 0

"""What has piled up while no worker ran."""

from __future__ import annotations

from tests.benchmarks.backlog import work_off
from tests.engine.installation import Installation
from tests.engine.stored import store_waiting_jobs
from tests.long import LONG


async def test_two_workers_work_off_a_backlog_and_publish_nothing_twice(installation: Installation) -> None:
    await work_off(installation, 600 if LONG else 150)


async def test_a_job_does_not_wait_behind_all_that_somebody_else_has_queued_before_it(
    installation: Installation,
) -> None:
    queued = await store_waiting_jobs(installation.database, "usr_ann", 200, seconds_ago=60)
    (last,) = await store_waiting_jobs(installation.database, "usr_bob", 1, seconds_ago=30)
    async with installation.worker(worker_slots=1, worker_preview_slots=1):
        await installation.followed.event("batch.completed", last)
        done = installation.followed.all("batch.completed")
        assert len(done) < len(queued) / 4
        await installation.followed.every("batch.completed", queued)

"""Row errors outlive the workers that came across them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from batchbus_service.domain.job import Job
from batchbus_service.execution.row_errors import part_keys
from batchbus_service.storage.files import FileStore
from tests.engine.installation import Installation

BATCH_TYPES: Final = Path(__file__).parents[1] / "batch_types"


async def lines_of(installation: Installation, job: Job) -> list[int]:
    """The line of every row error in the file store, in order."""
    files = FileStore.open((installation.folder / "files").as_uri())
    text = b"".join([chunk for key in part_keys(job) async for chunk in files.read(key)])
    return [json.loads(row)["line"] for row in text.splitlines()]


async def test_no_row_error_is_lost_or_repeated_when_workers_are_killed_and_stopped(
    installation: Installation,
) -> None:
    async with installation.worker_process(strategies_dir=BATCH_TYPES, lease_seconds=1) as worker:
        job_id = await installation.create("careless", chunks=12, checkpoint_every=2, seconds=0.1, preview_errors=2)
        await installation.followed.message(job_id, "chunk 2")
        await worker.kill()
    async with installation.worker_process(strategies_dir=BATCH_TYPES, lease_seconds=1) as worker:
        await installation.followed.message(job_id, "chunk 6")
        assert await worker.stop() == 0
    left = await lines_of(installation, await installation.job(job_id))
    assert left == [2, 3, *range(100, 100 + len(left) - 2)]
    async with installation.worker_process(strategies_dir=BATCH_TYPES, lease_seconds=1):
        await installation.followed.event("batch.completed", job_id)
    job = await installation.job(job_id)
    assert await lines_of(installation, job) == [2, 3, *range(100, 112)]
    assert job.fence >= 3

"""Files that jobs leave behind end when they are old, and what is somebody's own stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from batchbus_service.operations.job_files import JobFiles
from batchbus_service.storage.files import FileStore

OURS = (
    "imports/customer-import/plans/1-batch_1-PLAN.jsonl",
    "imports/products/ops/1-batch_1-PLAN.jsonl",
    "errors/batch_1/1-1.jsonl",
)
THEIRS = ("01ABC-upload.csv", "exports/products/export.csv", "plans/batch_1.jsonl")


async def test_what_was_written_before_a_time_is_removed_from_the_folders_of_jobs_alone(tmp_path: Path) -> None:
    files = FileStore.open(tmp_path.as_uri())
    long_ago = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    for key in (*OURS, *THEIRS):
        async with files.write(key) as file:
            await file.write(b"1")
        os.utime(tmp_path / key, (long_ago, long_ago))
    async with files.write("errors/batch_2/1-1.jsonl") as file:
        await file.write(b"1")
    job_files = JobFiles(files, structlog.get_logger())
    assert await job_files.remove_old(datetime.now(UTC) - timedelta(days=30)) == len(OURS)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*THEIRS, "errors/batch_2/1-1.jsonl"}

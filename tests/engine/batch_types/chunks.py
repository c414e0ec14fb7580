"""A batch type that works in chunks and leaves a trace of each: which run did it, and when."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun, RecordWrite


class ChunksContext(BaseModel):
    chunks: int = 3
    seconds: float = 0.0
    """How long a chunk takes."""
    fail_at: int | None = None
    """The chunk before which the first run of processing fails, with what is behind it checkpointed."""


class Chunks(BatchStrategy[ChunksContext]):
    identifier = "chunks-strategy"
    batch_type = "chunks"
    context_model = ChunksContext

    async def pre_process(self, run: JobRun[ChunksContext]) -> None:
        run.expect(run.context.chunks)

    async def process(self, run: JobRun[ChunksContext]) -> None:
        first = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(first, run.context.chunks):
            if chunk == run.context.fail_at and run.run_number == 1:
                raise OSError("the disk is on fire")
            await asyncio.sleep(run.context.seconds)  # a chunk takes its time
            run.ensure_lease()
            await run.catalog.traces.insert_one(
                {
                    "job": run.job_id,
                    "run": run.run_number,
                    "chunk": chunk,
                    "process": os.getpid(),
                    "at": datetime.now(UTC),
                }
            )
            await run.advance(message=f"chunk {chunk}")
            await run.checkpoint(chunk + 1)


class FencedChunks(BatchStrategy[ChunksContext]):
    """Counts on two records in each chunk: one of the chunk's own, one that all chunks share."""

    identifier = "fenced-chunks-strategy"
    batch_type = "fenced-chunks"
    context_model = ChunksContext

    async def process(self, run: JobRun[ChunksContext]) -> None:
        first = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(first, run.context.chunks):
            records = [RecordWrite({"_id": f"{run.job_id} {name}"}, {"$inc": {"count": 1}}) for name in (chunk, "all")]
            await run.write("counts", records, step=chunk)
            await asyncio.sleep(run.context.seconds)  # a chunk takes its time
            await run.advance()
            await run.checkpoint(chunk + 1)


class FencedChunksThread(FencedChunks):
    """The same, in a thread."""

    identifier = "fenced-chunks-thread-strategy"
    batch_type = "fenced-chunks-thread"

    def process(self, run: JobRun[ChunksContext]) -> None:  # type: ignore[override]
        first = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(first, run.context.chunks):
            records = [RecordWrite({"_id": f"{run.job_id} {name}"}, {"$inc": {"count": 1}}) for name in (chunk, "all")]
            run.write("counts", records, step=chunk)
            time.sleep(run.context.seconds)  # a chunk takes its time
            run.advance()
            run.checkpoint(chunk + 1)

"""A batch type with row errors in every chunk, whose runs fail at chunks that the context names.

A chunk has two records; one of each cannot be used. After `checkpoint_every` chunks there is a checkpoint.
"""

import asyncio

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun, StrategyError


class CarelessContext(BaseModel):
    chunks: int = 4
    checkpoint_every: int = 1
    seconds: float = 0.0
    """How long a chunk takes."""
    preview_errors: int = 0
    fail_at: list[int] = []
    """In which chunk the first run fails, the second, and so on, after its row error."""
    hopeless: bool = False
    """Whether to fail in the end, and for good."""


class Careless(BatchStrategy[CarelessContext]):
    identifier = "careless-strategy"
    batch_type = "careless"
    context_model = CarelessContext

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}

    async def pre_process(self, run: JobRun[CarelessContext]) -> None:
        for number in range(run.context.preview_errors):
            run.row_error(line=number + 2, column=None, code="preview", message="seen in the preview")

    async def process(self, run: JobRun[CarelessContext]) -> None:
        nth = self.runs[run.job_id] = self.runs.get(run.job_id, -1) + 1
        fails_at = run.context.fail_at[nth] if nth < len(run.context.fail_at) else None
        done = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(done, run.context.chunks):
            run.row_error(line=100 + chunk, column="sku", code="bad", message="it is bad", value=f"=chunk {chunk}")
            if chunk == fails_at:
                raise OSError(f"run {nth + 1} fails in chunk {chunk}")
            await asyncio.sleep(run.context.seconds)  # a chunk takes its time
            await run.advance(2, message=f"chunk {chunk}")
            if (chunk + 1) % run.context.checkpoint_every == 0:
                await run.checkpoint(chunk + 1)
        if run.context.hopeless:
            raise StrategyError("hopeless")

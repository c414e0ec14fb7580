"""A batch type of many small steps, and nothing else."""

import asyncio

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun


class StepsContext(BaseModel):
    steps: int = 10_000
    seconds: float = 0.0
    """How long each of them takes."""


class Steps(BatchStrategy[StepsContext]):
    identifier = "steps-strategy"
    batch_type = "steps"
    context_model = StepsContext

    async def process(self, run: JobRun[StepsContext]) -> None:
        run.expect(run.context.steps)
        for _ in range(run.context.steps):
            if run.context.seconds:
                await asyncio.sleep(run.context.seconds)  # a step takes its time
            await run.advance()

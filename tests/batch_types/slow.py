"""A batch type that takes its time: `steps` records, each of which takes `seconds`; with `fail`, it ends in an error."""

import asyncio

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun, StrategyError


class SlowContext(BaseModel):
    steps: int = 10
    seconds: float = 0.01
    fail: str | None = None


class Slow(BatchStrategy[SlowContext]):
    identifier = "slow-strategy"
    batch_type = "slow"
    context_model = SlowContext

    async def process(self, run: JobRun[SlowContext]) -> None:
        run.expect(run.context.steps)
        done = run.resume_from if isinstance(run.resume_from, int) else 0
        for step in range(done, run.context.steps):
            await asyncio.sleep(run.context.seconds)  # a record takes its time
            await run.advance()
            await run.checkpoint(step + 1)
        if run.context.fail:
            raise StrategyError(run.context.fail, public=True)

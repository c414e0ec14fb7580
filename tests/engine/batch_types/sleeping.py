"""Batch types that take their time: asleep, and blocking the loop that all strategies share."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun


class SleepContext(BaseModel):
    seconds: float


class Sleeping(BatchStrategy[SleepContext]):
    identifier = "sleeping-strategy"
    batch_type = "sleeping"
    context_model = SleepContext

    async def process(self, run: JobRun[SleepContext]) -> None:
        await asyncio.sleep(run.context.seconds)  # asleep is what it is


class Blocking(BatchStrategy[SleepContext]):
    """Wrong, as everyone writes it once: nothing else runs on the loop meanwhile."""

    identifier = "blocking-strategy"
    batch_type = "blocking"
    context_model = SleepContext

    async def process(self, run: JobRun[SleepContext]) -> None:
        await run.advance(message="blocking")
        time.sleep(run.context.seconds)  # noqa: ASYNC251 - that is the point

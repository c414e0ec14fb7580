"""Batch types that end their process, in as many ways as there are."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun

How = Literal["segfault", "exit", "kill", "memory"]


class DyingContext(BaseModel):
    how: How = "segfault"
    chunks: int = 1


class Dying(BatchStrategy[DyingContext]):
    """Takes its worker with it, the first time."""

    identifier = "dying-strategy"
    batch_type = "dying"
    context_model = DyingContext

    async def process(self, run: JobRun[DyingContext]) -> None:
        await run.advance()
        _die(run.context.how)


class DyingIsolated(BatchStrategy[DyingContext]):
    identifier = "dying-isolated-strategy"
    batch_type = "dying-isolated"
    context_model = DyingContext
    isolation = "process"

    async def process(self, run: JobRun[DyingContext]) -> None:
        await run.advance(7)
        _die(run.context.how)


class DyingIsolatedThread(DyingIsolated):
    identifier = "dying-isolated-thread-strategy"
    batch_type = "dying-isolated-thread"

    def process(self, run: JobRun[DyingContext]) -> None:  # type: ignore[override]
        run.advance(7)
        _die(run.context.how)


class DyingBehindCheckpoints(BatchStrategy[DyingContext]):
    """Dies in each run, behind one more checkpoint."""

    identifier = "dying-behind-checkpoints-strategy"
    batch_type = "dying-behind-checkpoints"
    context_model = DyingContext
    isolation = "process"

    async def process(self, run: JobRun[DyingContext]) -> None:
        first = run.resume_from if isinstance(run.resume_from, int) else 0
        if first < run.context.chunks:
            await run.advance()
            await run.checkpoint(first + 1)
            _die(run.context.how)


class AloneContext(BaseModel):
    seconds: float = 0.0


class Alone(BatchStrategy[AloneContext]):
    """Says which process it is in, and what it finds there."""

    identifier = "alone-strategy"
    batch_type = "alone"
    context_model = AloneContext
    isolation = "process"

    async def process(self, run: JobRun[AloneContext]) -> None:
        run.result["settings"] = [name for name in os.environ if name.startswith("BATCHBUS")]
        await run.catalog.traces.insert_one({"job": run.job_id, "process": os.getpid(), "at": datetime.now(UTC)})
        await run.advance(message="here")
        await asyncio.sleep(run.context.seconds)  # a process of its own is kept for as long


class AloneDeaf(BatchStrategy[AloneContext]):
    """Never asks whether it should stop, in a thread."""

    identifier = "alone-deaf-strategy"
    batch_type = "alone-deaf"
    context_model = AloneContext
    isolation = "process"

    def process(self, run: JobRun[AloneContext]) -> None:
        run.advance(message="here")
        while True:
            time.sleep(0.01)  # deaf, and not so busy that others starve

    def on_canceled(self, run: JobRun[AloneContext]) -> None:
        run.result["cleaned_up_in"] = run.phase


def _die(how: How) -> None:
    _DEATHS[how]()


def _fill_memory() -> None:
    held = []
    while True:
        held.append(bytearray(16 * 1024 * 1024))


_DEATHS: Final[dict[How, Callable[[], object]]] = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "memory": _fill_memory,
}

"""Batch types that say where they are and wait at a gate: a path that the test creates to let them go on."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from batchbus_service.storage.files import StoreFull
from batchbus_strategies import BatchStrategy, JobRun, Phase


class GateContext(BaseModel):
    gate: Path
    phase: Phase = "process"


class Gated(BatchStrategy[GateContext]):
    """Well behaved: one chunk before the gate, one behind it."""

    identifier = "gated-strategy"
    batch_type = "gated"
    context_model = GateContext

    async def pre_process(self, run: JobRun[GateContext]) -> None:
        if run.context.phase == "pre_process":
            await self._pass(run)

    async def process(self, run: JobRun[GateContext]) -> None:
        run.expect(2)
        if run.context.phase == "process":
            await self._pass(run)

    async def on_canceled(self, run: JobRun[GateContext]) -> None:
        run.result["cleaned_up_in"] = run.phase

    async def _pass(self, run: JobRun[GateContext]) -> None:
        await run.advance(message="at the gate")
        while not run.context.gate.exists():
            await asyncio.sleep(0.01)  # a file tells nobody that it is there
            await run.advance(0)
        await run.advance(message="behind the gate")


class GatedWrite(BatchStrategy[GateContext]):
    """Two chunks; the gate is between the write of the first and its checkpoint."""

    identifier = "gated-write-strategy"
    batch_type = "gated-write"
    context_model = GateContext

    async def process(self, run: JobRun[GateContext]) -> None:
        for chunk in range(run.resume_from if isinstance(run.resume_from, int) else 0, 2):
            await run.advance(0, message="at the gate")
            run.ensure_lease()
            await run.catalog.traces.insert_one({"job": run.job_id, "chunk": chunk, "at": datetime.now(UTC)})
            while not run.context.gate.exists():  # noqa: ASYNC110 - the test opens it
                await asyncio.sleep(0.01)  # a file tells nobody that it is there
            await run.advance()
            await run.checkpoint(chunk + 1)


class GatedThread(BatchStrategy[GateContext]):
    """The same, well behaved, as a plain function in a thread."""

    identifier = "gated-thread-strategy"
    batch_type = "gated-thread"
    context_model = GateContext

    def process(self, run: JobRun[GateContext]) -> None:
        run.expect(2)
        run.advance(message="at the gate")
        while not run.context.gate.exists():
            time.sleep(0.01)  # a file tells nobody that it is there
            run.advance(0)
        run.advance(message="behind the gate")

    def on_canceled(self, run: JobRun[GateContext]) -> None:
        run.result["cleaned_up_in"] = run.phase


class SlowToCleanUp(Gated):
    """Never done with cleaning up."""

    identifier = "slow-to-clean-up-strategy"
    batch_type = "slow-to-clean-up"

    async def on_canceled(self, run: JobRun[GateContext]) -> None:
        while True:
            await run.advance(0, message="cleaning up")
            await asyncio.sleep(0.01)  # cleaning up takes its time


class Deaf(BatchStrategy[GateContext]):
    """Never asks whether it should stop."""

    identifier = "deaf-strategy"
    batch_type = "deaf"
    context_model = GateContext

    async def process(self, run: JobRun[GateContext]) -> None:
        await run.advance(message="at the gate")
        while not run.context.gate.exists():  # noqa: ASYNC110 - other processes open it
            await asyncio.sleep(0.01)  # a file tells nobody that it is there

    async def on_canceled(self, run: JobRun[GateContext]) -> None:
        run.result["cleaned_up_in"] = run.phase


class DeafThread(BatchStrategy[GateContext]):
    """Never asks whether it should stop, in a thread, where nothing can stop it."""

    identifier = "deaf-thread-strategy"
    batch_type = "deaf-thread"
    context_model = GateContext

    def process(self, run: JobRun[GateContext]) -> None:
        run.advance(message="at the gate")
        while not run.context.gate.exists():
            time.sleep(0.01)  # a file tells nobody that it is there
        run.result["done_behind_the_gate"] = True

    def on_canceled(self, run: JobRun[GateContext]) -> None:
        run.result["cleaned_up_in"] = run.phase


class Stalled(BatchStrategy[GateContext]):
    """Stands at the gate without a sign of life, for longer than it says it may."""

    identifier = "stalled-strategy"
    batch_type = "stalled"
    context_model = GateContext
    stall_seconds = 1.0

    async def process(self, run: JobRun[GateContext]) -> None:
        await run.advance(message="at the gate")
        while not run.context.gate.exists():  # noqa: ASYNC110 - other processes open it
            await asyncio.sleep(0.01)  # a file tells nobody that it is there


class NoRoom(BatchStrategy[GateContext]):
    """Finds the file store full until the gate is open."""

    identifier = "no-room-strategy"
    batch_type = "no-room"
    context_model = GateContext

    async def process(self, run: JobRun[GateContext]) -> None:
        if not run.context.gate.exists():
            try:
                raise StoreFull("No space left on device")
            except StoreFull as error:
                raise RuntimeError("the export cannot be written") from error

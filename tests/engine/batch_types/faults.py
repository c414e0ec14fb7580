"""Batch types with which something is wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

from pydantic import BaseModel, Field

from batchbus_strategies import (
    Actor,
    AnyContext,
    BatchStrategy,
    Draft,
    JobRefused,
    JobRun,
    JobView,
    Phase,
    StrategyError,
)


class FaultContext(BaseModel):
    how: Literal["error", "hopeless", "strategy_error", "exit"] = "error"
    phase: Phase = "process"
    runs: int = 1000
    """How many runs fail, from the first one on."""


class _Failing(BatchStrategy[FaultContext]):
    context_model = FaultContext

    def _fail(self, run: JobRun[FaultContext]) -> None:
        if run.run_number > run.context.runs or run.context.phase != run.phase:
            return
        match run.context.how:
            case "error":
                raise OSError(f"run {run.run_number} failed")
            case "hopeless":
                raise LookupError("nothing will help")
            case "strategy_error":
                raise StrategyError("There is no such file", public=True)
            case "exit":
                sys.exit(3)

    async def should_retry(self, job: JobView, error: Exception) -> bool:
        return not isinstance(error, LookupError)


class Failing(_Failing):
    identifier = "failing-strategy"
    batch_type = "failing"

    async def pre_process(self, run: JobRun[FaultContext]) -> None:
        self._fail(run)

    async def process(self, run: JobRun[FaultContext]) -> None:
        self._fail(run)


class FailingThread(_Failing):
    identifier = "failing-thread-strategy"
    batch_type = "failing-thread"

    def pre_process(self, run: JobRun[FaultContext]) -> None:
        self._fail(run)

    def process(self, run: JobRun[FaultContext]) -> None:
        self._fail(run)


class LimpingContext(BaseModel):
    chunks: int


class Limping(BatchStrategy[LimpingContext]):
    """Fails after every chunk, but gets one chunk further each time."""

    identifier = "limping-strategy"
    batch_type = "limping"
    context_model = LimpingContext

    async def process(self, run: JobRun[LimpingContext]) -> None:
        chunk = run.resume_from if isinstance(run.resume_from, int) else 0
        await run.advance()
        await run.checkpoint(chunk + 1)
        if chunk + 1 < run.context.chunks:
            raise OSError("out of breath")


class Sloppy(BatchStrategy[AnyContext]):
    """Finds errors in its rows, and fails once, behind a checkpoint and one more error."""

    identifier = "sloppy-strategy"
    batch_type = "sloppy"

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        run.row_error(line=2, column=None, code="bad", message="previewed")

    async def process(self, run: JobRun[AnyContext]) -> None:
        if run.resume_from is None:
            run.row_error(line=3, column=None, code="bad", message="kept")
            await run.checkpoint("half")
        run.row_error(line=4, column=None, code="bad", message="repeated")
        if run.run_number == 1:
            raise OSError("run 1 failed")


class LargeContext(BaseModel):
    size: int
    seconds: float = 0.0


class Large(BatchStrategy[LargeContext]):
    """Has a result of any size."""

    identifier = "large-strategy"
    batch_type = "large"
    context_model = LargeContext

    async def process(self, run: JobRun[LargeContext]) -> None:
        run.result["text"] = "x" * run.context.size
        await asyncio.sleep(run.context.seconds)  # the run takes its time


_STRANGE_TEXT = "half a \ud800 pair, and " + "x" * 2_000_000


class OddContext(BaseModel):
    what: Literal["integer", "object", "key", "error", "message"]


class Odd(BatchStrategy[OddContext]):
    """Says something that cannot be stored or sent as it is."""

    identifier = "odd-strategy"
    batch_type = "odd"
    context_model = OddContext

    async def process(self, run: JobRun[OddContext]) -> None:
        match run.context.what:
            case "integer":
                run.result["number"] = 2**70
            case "object":
                run.result["thing"] = object()
            case "key":
                run.result["a\0b"] = 1
            case "error":
                raise StrategyError(_STRANGE_TEXT, public=True)
            case "message":
                await run.advance(message=_STRANGE_TEXT)


class PickyContext(BaseModel):
    name: str = Field(max_length=10)
    rows: list[int] = []
    nested: dict[str, str] = {}


class Picky(BatchStrategy[PickyContext]):
    """Looks at what it is asked to do: refuses some of it, and completes the rest."""

    identifier = "picky-strategy"
    batch_type = "picky"
    context_model = PickyContext

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        if draft.context.get("name") == "nobody":
            raise JobRefused("Nobody may do that", field="name")
        draft.context.setdefault("nested", {})["actor"] = actor.id

    async def pre_process(self, run: JobRun[PickyContext]) -> None:
        run.update_context({"seen_by": "pre_process"})

    async def process(self, run: JobRun[PickyContext]) -> None:
        run.result["nested"] = dict(run.context.nested)
        run.update_context({"seen_by": "process"})

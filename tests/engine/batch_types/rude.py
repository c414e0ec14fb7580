"""Batch types that hand over what is not JSON, or raise what is hard to catch, in any of their methods."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel, field_validator

from batchbus_strategies import Actor, BatchStrategy, Draft, JobRun, JobView, LeaseLost, RunCanceled, StrategyError

NOT_JSON: Final[dict[str, Any]] = {
    "a datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "not a number": math.nan,
    "bytes": b"\xff\x00",
    "a uuid": uuid.UUID(int=0),
    "a decimal": Decimal(1),
    "a set": {1},
    "a surrogate": "\ud800",
    "a large integer": 2**70,
    "a key that is no text": {1: 2},
    "a key with a NUL": {"a\0b": 1},
}


class HandingContext(BaseModel):
    what: str
    where: str


class Handing(BatchStrategy[HandingContext]):
    """Hands over what is not JSON."""

    identifier = "handing-strategy"
    batch_type = "handing"
    context_model = HandingContext

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        if draft.context["where"] == "prepare":
            draft.context["at"] = NOT_JSON[draft.context["what"]]

    async def process(self, run: JobRun[HandingContext]) -> None:
        value = NOT_JSON[run.context.what]
        match run.context.where:
            case "result":
                run.result["at"] = value
            case "within the result":
                run.result["deep"] = {}
                run.result["deep"]["at"] = value
            case "context":
                run.update_context({"deep": [{"at": value}]})
            case "checkpoint":
                await run.checkpoint({"at": value})


class _Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class _SilentRefusal(StrategyError):
    def __str__(self) -> str:
        raise ValueError("no words")


class _SilentLoss(LeaseLost):
    def __str__(self) -> str:
        raise ValueError("no words")


class _OfTheWrongKind(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


@dataclass(frozen=True)
class _Frozen(Exception):
    reason: str = "nothing of it can be set"


RAISED: Final[dict[str, Callable[[], BaseException]]] = {
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "concurrent CancelledError": concurrent.futures.CancelledError,
    "RunCanceled": RunCanceled,
    "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [SystemExit(1), LeaseLost()]),
    "_Silent": _Silent,
    "_SilentRefusal": _SilentRefusal,
    "_OfTheWrongKind": _OfTheWrongKind,
    "_Frozen": _Frozen,
}


class RaisingContext(BaseModel):
    what: str
    where: str

    @field_validator("where")
    @classmethod
    def _raises(cls, where: str) -> str:
        if where == "validator":
            sys.exit("in a validator")
        return where


def _raise(context: RaisingContext | dict[str, Any], where: str) -> None:
    given = context if isinstance(context, dict) else context.model_dump()
    if given["where"] == where:
        raise RAISED[given["what"]]()


class Raising(BatchStrategy[RaisingContext]):
    """Raises something in a method that is a coroutine."""

    identifier = "raising-strategy"
    batch_type = "raising"
    context_model = RaisingContext

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        _raise(draft.context, "prepare")

    async def pre_process(self, run: JobRun[RaisingContext]) -> None:
        _raise(run.context, "pre_process")

    async def process(self, run: JobRun[RaisingContext]) -> None:
        _raise(run.context, "process")
        if run.context.where == "should_retry":
            raise OSError(run.context.what)

    async def should_retry(self, job: JobView, error: Exception) -> bool:
        if isinstance(error, OSError):
            raise RAISED[str(error)]()
        return True


class RaisingThread(BatchStrategy[RaisingContext]):
    """Raises something in a method that is a plain function."""

    identifier = "raising-thread-strategy"
    batch_type = "raising-thread"
    context_model = RaisingContext

    def prepare(self, draft: Draft, actor: Actor) -> None:
        _raise(draft.context, "prepare")

    def pre_process(self, run: JobRun[RaisingContext]) -> None:
        _raise(run.context, "pre_process")

    def process(self, run: JobRun[RaisingContext]) -> None:
        _raise(run.context, "process")
        if run.context.where == "should_retry":
            raise OSError(run.context.what)

    def should_retry(self, job: JobView, error: Exception) -> bool:
        if isinstance(error, OSError):
            raise RAISED[str(error)]()
        return True


class Stray(BatchStrategy[RaisingContext]):
    """Leaves a task behind that ends the loop it runs on, were it allowed to."""

    identifier = "stray-strategy"
    batch_type = "stray"
    context_model = RaisingContext

    async def process(self, run: JobRun[RaisingContext]) -> None:
        async def leave() -> None:
            raise RAISED[run.context.what]()

        with contextlib.suppress(BaseException):
            await asyncio.create_task(leave())
        asyncio.get_running_loop().stop()


class ElsewhereContext(BaseModel):
    how: Literal["own loop", "no loop", "pymongo"]


class Elsewhere(BatchStrategy[ElsewhereContext]):
    """Uses the catalogue in a plain function, in ways that are right and wrong."""

    identifier = "elsewhere-strategy"
    batch_type = "elsewhere"
    context_model = ElsewhereContext

    def process(self, run: JobRun[ElsewhereContext]) -> None:
        match run.context.how:
            case "own loop":
                asyncio.run(self._count(run))
            case "no loop":
                run.catalog["traces"].count_documents({})  # type: ignore[unused-coroutine]  # as a hasty author writes it
            case "pymongo":
                run.result["traces"] = run.sync.catalog["traces"].count_documents({})

    async def _count(self, run: JobRun[ElsewhereContext]) -> int:
        return await run.catalog["traces"].count_documents({})

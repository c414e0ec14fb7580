"""Strategies whose errors say what a cell says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun, StrategyError


class TellingContext(BaseModel):
    value: str
    how: Literal["error", "strategy_error", "cause"]


class Telling(BatchStrategy[TellingContext]):
    identifier = "telling-strategy"
    batch_type = "telling"
    context_model = TellingContext

    async def process(self, run: JobRun[TellingContext]) -> None:
        value = run.context.value
        match run.context.how:
            case "error":
                raise ValueError(f"invalid number: {value}")
            case "strategy_error":
                raise StrategyError(f"The number {value} is not valid")
            case "cause":
                try:
                    raise KeyError(value)
                except KeyError as error:
                    raise RuntimeError(f"There is no {value}") from error


class TellingIsolated(Telling):
    identifier = "telling-isolated-strategy"
    batch_type = "telling-isolated"
    isolation = "process"

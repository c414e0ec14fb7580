"""What a run offers, as the test kit has it: nothing waits, and everything is written down."""

from __future__ import annotations

import math
from typing import Any

import pytest

from batchbus_strategies import AnyContext, BatchStrategy, JobRun, RunCanceled, Services, StrategyError
from batchbus_strategies.testing import FakeJob


class Uses(BatchStrategy[AnyContext]):
    identifier = "uses-strategy"
    batch_type = "uses"

    async def process(self, run: JobRun[AnyContext]) -> None:
        await run.sleep(1000)
        await run.limit("geo", per_second=0.01)
        async with run.limit("geo", per_second=0.01):
            run.result["computed"] = await run.compute(math.factorial, 5)


class UsesInThread(BatchStrategy[AnyContext]):
    identifier = "uses-in-thread-strategy"
    batch_type = "uses-in-thread"

    def process(self, run: JobRun[AnyContext]) -> None:
        run.sleep(1000)
        run.limit("geo", per_second=0.01)
        with run.limit("geo", per_second=0.01):
            run.result["computed"] = run.sync.compute(math.factorial, 5)


KINDS = pytest.mark.parametrize("strategy", [Uses, UsesInThread])


@KINDS
async def test_nothing_waits_and_everything_is_written_down(
    strategy: type[BatchStrategy[Any]], services: Services
) -> None:
    job = FakeJob(strategy(), {}, services)
    run = await job.process()
    assert (run.sleeps, run.permits) == ([1000], [("geo", 0.01)] * 2)
    assert run.calls == ["sleep", "limit", "limit", "compute"]
    assert job.result == {"computed": 120}


@KINDS
async def test_each_of_them_may_be_where_a_run_is_stopped(
    strategy: type[BatchStrategy[Any]], services: Services
) -> None:
    for moment in range(1, 5):
        job = FakeJob(strategy(), {}, services)
        with pytest.raises(RunCanceled):
            await job.process(stop_at=moment, stop_with=RunCanceled)
        assert len(job.runs[-1].calls) == moment


async def test_what_no_other_process_could_be_given_is_refused_here_too(services: Services) -> None:
    class Lambda(Uses):
        async def process(self, run: JobRun[AnyContext]) -> None:
            await run.compute(lambda: 1)

    with pytest.raises(StrategyError, match="at the top of a module"):
        await FakeJob(Lambda(), {}, services).process()


@pytest.mark.parametrize(("name", "per_second"), [("", 1), ("a\nb", 1), ("geo", 0), ("geo", math.nan), ("geo", 1e9)])
async def test_what_is_no_limit_is_refused(name: str, per_second: float, services: Services) -> None:
    class Limited(Uses):
        async def process(self, run: JobRun[AnyContext]) -> None:
            await run.limit(name, per_second=per_second)

    with pytest.raises(StrategyError, match="limit: "):
        await FakeJob(Limited(), {}, services).process()


async def test_an_async_def_that_takes_a_permit_with_a_plain_with_is_told_so(services: Services) -> None:
    class Hasty(Uses):
        async def process(self, run: JobRun[AnyContext]) -> None:
            with run.limit("geo", per_second=1):
                pass

    with pytest.raises(StrategyError, match="async with"):
        await FakeJob(Hasty(), {}, services).process()

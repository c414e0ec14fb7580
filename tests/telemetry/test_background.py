"""Tasks that run as long as the process does: whatever ends one, it is begun again, and readiness knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from batchbus_events.backoff import Backoff, delay
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.tasks import end
from batchbus_service.app.bootstrap import open_service
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.readiness import Readiness
from batchbus_service.telemetry.background import Background
from batchbus_strategies import AnyContext, BatchStrategy
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World
from tests.patience import PATIENCE


@pytest.fixture
def settings(tmp_path: Path, mongo_url: str, database_name: str) -> Settings:
    return Settings(
        mongodb_url=mongo_url,
        mongodb_database=database_name[-38:],
        data_dir=tmp_path,
        jwt_secret="known to this test alone",
    )


async def test_a_task_that_raises_is_begun_again_and_its_trouble_passes() -> None:
    background = Background(structlog.get_logger(), well_again=0.05)
    began, again = asyncio.Event(), asyncio.Event()

    async def body() -> None:
        if not began.is_set():
            began.set()
            raise KeyError("the first time")
        again.set()
        await asyncio.Event().wait()

    task = background.start("a task", body)
    async with asyncio.timeout(PATIENCE):
        await again.wait()
        assert background.failures == {"a task": "KeyError: 'the first time'"}
        while background.failures:  # noqa: ASYNC110 - a timer forgets it, which tells nobody
            await asyncio.sleep(0)  # one turn of the loop
    await end(task)


async def test_a_task_that_returns_is_done() -> None:
    async def body() -> None:
        pass

    background = Background(structlog.get_logger())
    async with asyncio.timeout(PATIENCE):
        await background.start("a task", body)
    assert background.failures == {}


_TASKS = {
    "comparing clocks",
    "looking for work",
    "marks of published events",
    "rescuer",
    "queue depths",
    "removing old files of jobs",
    "replays",
    "signs of life",
    "sweeping unfinished files",
    "watching the strategies' loop",
}


async def test_a_service_whose_every_task_breaks_once_goes_on_and_readiness_names_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Background.start

    def start_broken(self: Background, name: str, body: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        broken = False

        async def breaks_once() -> None:
            nonlocal broken
            if not broken:
                broken = True
                raise RuntimeError(f"{name} was never so unlucky")
            await body()

        return start(self, name, breaks_once)

    monkeypatch.setattr(Background, "start", start_broken)
    async with open_service(settings) as service:
        readiness = Readiness(service.stores.server, service.bus, service.transitions.outbox, service.background)
        settled: asyncio.Queue[Sequence[Job]] = asyncio.Queue()
        service.transitions.outbox.settled.connect(settled.put_nowait)
        request = NewJob(
            id=new_job_id(), type="product-export", context={}, dry_run=False, created_by="usr_1", request_digest=""
        )
        await service.commands.create(request, Cause())
        async with asyncio.timeout(PATIENCE):
            while (job := (await settled.get())[0]).published < 5:
                pass
        assert job.status is Status.COMPLETED
        assert set(service.background.failures) == _TASKS
        assert (await readiness.needed())["database"] == "ok"
        assert "rescuer: RuntimeError: rescuer was never so unlucky" in readiness.advisory()["tasks"]
        running = {task.get_name() for task in asyncio.all_tasks()}
        assert running >= _TASKS


class Nothing(BatchStrategy[AnyContext]):
    identifier = "nothing-strategy"
    batch_type = "nothing"


_NOT_SIMULATED = {
    "removing old files of jobs": "no job of the simulation has files, and none is ever read again after so many days",
    "sweeping unfinished files": "the same; it removes what no process writes any more, and touches no job",
    "watching the strategies' loop": "strategies run on the simulation's own loop, where nothing takes time",
}
"""Why these cannot matter there."""


def test_a_simulated_process_runs_every_task_of_a_real_one(tmp_path: Path) -> None:
    async def running() -> set[str]:
        async with (world := World(Random(1), lambda name: Nothing(), folder=tmp_path)).bus:
            await world.start_process()
            return {task.get_name() for task in asyncio.all_tasks()}

    running_tasks = run_virtually(running())
    assert _TASKS - running_tasks == _NOT_SIMULATED.keys()


# -- pauses ------------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 10**9),
    st.floats(0, 1000),
    st.floats(0, 10_000),
    st.floats(0, 100),
)
def test_a_delay_is_within_its_bounds_after_any_number_of_tries(
    tries: int, first: float, longest: float, factor: float
) -> None:
    assert 0 <= delay(tries, first=first, longest=longest, factor=factor) <= longest
    if factor >= 1:
        again = delay(tries + 1, first=first, longest=longest, factor=factor)
        assert again >= delay(tries, first=first, longest=longest, factor=factor)


async def test_a_supervisor_waits_after_any_number_of_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("batchbus_events.backoff.asyncio.sleep", sleep)
    waiting = Backoff()
    for _ in range(3000):
        await waiting.wait()
    assert len(pauses) == 2999  # the first try is made at once
    assert 5 <= pauses[-1] <= 10


@pytest.mark.parametrize("failures", [1, 47, 1024, 10**6])
def test_a_run_is_tried_again_however_often_it_has_failed(failures: int) -> None:
    decider = Decider(Policy(max_attempts=10**9), new_ulid)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    request = NewJob(id="batch_1", type="noop", context={}, dry_run=False, created_by="usr_1", request_digest="")
    job = decider.claim(decider.create(request, now, Cause()), "worker", now)
    lost = decider.run_lost(replace(job, failures=failures), now, "again", Cause())
    assert lost.ready_at is not None
    assert now < lost.ready_at <= now + timedelta(minutes=5)

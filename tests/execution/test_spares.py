"""Child processes that are started before there is a run for them: used, replaced, and ended when nothing comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import structlog

from batchbus_service.execution.execution import RaisedInChild
from batchbus_service.execution.isolation.setup import Setup
from batchbus_service.execution.isolation.spares import SpareProcesses
from tests.execution.ending import ended
from tests.patience import PATIENCE


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(
        catalog_url="mongodb://127.0.0.1:9",  # which no strategy asks for anything here
        catalog_database="catalog",
        files_url=tmp_path.as_uri(),
        strategies_folder=str(Path(__file__).parents[1] / "engine" / "batch_types"),
        memory_mib=512,
        progress_interval=0.25,
        log_format=None,
        log_level="info",
        path=sys.path,
    )


@pytest.fixture
async def spares(setup: Setup) -> AsyncIterator[SpareProcesses]:
    async with SpareProcesses(setup, structlog.get_logger()) as spares:
        yield spares


def children() -> set[int]:
    """Processes of runs that this one has started."""
    mine = psutil.Process().children()
    return {child.pid for child in mine if any(part.endswith("isolation.child") for part in child.cmdline())}


async def started(count: int) -> set[int]:
    async with asyncio.timeout(PATIENCE):
        while len(found := children()) < count:  # noqa: ASYNC110 - a process that is there tells nobody
            await asyncio.sleep(0.01)
    return found


async def test_a_run_gets_a_process_that_was_started_for_it(spares: SpareProcesses) -> None:
    spares.expect(1)
    before = await started(1)
    child = await spares.serving("noop")
    assert children() == before
    assert spares.count == 0
    await child.close()
    assert children() == set()


async def test_more_are_not_started_than_are_expected_and_a_few_at_most(spares: SpareProcesses) -> None:
    spares.expect(2)
    spares.expect(2)
    assert spares.count == 2
    spares.expect(1000)
    assert spares.count == 4


async def test_one_that_died_while_it_waited_is_replaced(spares: SpareProcesses) -> None:
    spares.expect(1)
    (dead,) = await started(1)
    psutil.Process(dead).kill()
    child = await spares.serving("noop")
    assert child.alive
    assert children() != {dead}
    await child.close()


async def test_a_type_that_is_not_served_any_more_is_an_error_in_words(spares: SpareProcesses) -> None:
    spares.expect(1)
    with pytest.raises(RaisedInChild, match="could not be started: No strategy serves gone any more"):
        await spares.serving("gone")
    assert children() == set()


async def test_one_for_which_nothing_comes_is_ended(setup: Setup) -> None:
    async with SpareProcesses(setup, structlog.get_logger(), kept=0.5) as spares:
        spares.expect(1)
        (unused,) = await started(1)
        assert await ended(unused)
        assert spares.count == 0


async def test_none_is_left_and_none_is_started_once_it_is_closed(setup: Setup) -> None:
    async with SpareProcesses(setup, structlog.get_logger()) as spares:
        spares.expect(2)
        await started(2)
    assert children() == set()
    spares.expect(2)
    assert spares.count == 0

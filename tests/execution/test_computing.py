"""Computations in processes of their own: what comes back, what ends them, and what they do not get."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from batchbus_service.execution.computing.pool import ComputePool, ComputeSetup
from batchbus_strategies import ComputationDied, StrategyError
from batchbus_strategies.computing import packed_call, result_of
from tests.execution import functions
from tests.execution.ending import ended, written


class Computer:
    """Packs and unpacks, as a run does."""

    def __init__(self, pool: ComputePool) -> None:
        self._pool = pool

    async def compute(self, function: Callable[..., object], *args: object) -> Any:
        return result_of(await self._pool.compute(packed_call(function, args)))


@pytest.fixture
async def computer(tmp_path: Path) -> AsyncIterator[Computer]:
    (tmp_path / "csv.py").write_text("def twice(number):\n    return 2 * number\n")
    path = [str(Path(entry).absolute()) for entry in sys.path]
    setup = ComputeSetup(folder=str(tmp_path), path=path, memory_mib=512)
    async with ComputePool(setup, structlog.get_logger(), size=2) as pool:
        yield Computer(pool)


async def test_a_function_is_called_in_another_process_which_is_used_again(computer: Computer) -> None:
    assert await computer.compute(math.factorial, 20) == math.factorial(20)
    first = await computer.compute(functions.process_id)
    assert first not in (os.getpid(), None)
    assert await computer.compute(functions.process_id) == first


async def test_several_compute_side_by_side_and_no_more_than_there_are_places(computer: Computer) -> None:
    processes = await asyncio.gather(*(computer.compute(functions.process_id) for _ in range(6)))
    assert 1 <= len(set(processes)) <= 2


async def test_a_process_has_none_of_the_settings(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHBUS_AMQP_URL", "amqp://secret")
    found = await computer.compute(functions.environment)
    assert [name for name in found if name.startswith("BATCHBUS_")] == []
    assert found["PATH"] == os.environ["PATH"]


async def test_files_of_the_folder_are_found_under_the_names_that_they_have_for_a_worker(
    computer: Computer, tmp_path: Path
) -> None:
    from batchbus_strategies.folder import import_file

    module = import_file(tmp_path / "csv.py")
    assert await computer.compute(module.twice, 21) == 42


async def test_an_error_is_raised_with_its_own_type_and_the_other_traceback(computer: Computer) -> None:
    with pytest.raises(functions.Particular) as raised:
        await computer.compute(functions.raises, "A-1")
    assert raised.value.sku == "A-1"
    assert "raise Particular(sku)" in str(raised.value.__cause__)


async def test_an_error_that_cannot_be_pickled_is_told_in_words(computer: Computer) -> None:
    with pytest.raises(RuntimeError, match="The computation raised Unpicklable: one two"):
        await computer.compute(functions.raises_unpicklable)
    with pytest.raises(RuntimeError, match="The computation raised SystemExit: 3"):
        await computer.compute(functions.leaves)


async def test_what_another_process_cannot_be_given_is_refused(computer: Computer) -> None:
    with pytest.raises(StrategyError, match="defined at the top of a module"):
        await computer.compute(lambda: None)
    with pytest.raises(StrategyError, match="what unpicklable returned"):
        await computer.compute(functions.unpicklable)


@pytest.mark.parametrize(
    ("function", "how"), [(functions.kills_itself, "by SIGKILL"), (functions.segfaults, "by SIGSEGV")]
)
async def test_a_process_that_dies_is_an_error_in_one_sentence_and_the_pool_goes_on(
    computer: Computer, function: Callable[[], object], how: str
) -> None:
    with pytest.raises(ComputationDied, match=f"The process of the computation ended {how}"):
        await computer.compute(function)
    assert await computer.compute(math.factorial, 3) == 6


async def test_a_crash_is_told_with_its_place(computer: Computer) -> None:
    with pytest.raises(ComputationDied, match=r"It was in .* < segfaults \(.*functions\.py, line \d+\)\.$"):
        await computer.compute(functions.segfaults)


async def test_too_much_memory_is_an_error_and_harms_nobody(computer: Computer) -> None:
    with pytest.raises(MemoryError):
        await computer.compute(functions.fills_memory)
    assert await computer.compute(math.factorial, 3) == 6


async def test_a_process_that_died_while_it_was_idle_is_replaced(computer: Computer) -> None:
    idle = await computer.compute(functions.process_id)
    os.kill(idle, signal.SIGKILL)
    assert await ended(idle)
    assert await computer.compute(math.factorial, 3) == 6


async def test_a_cancelled_computation_ends_and_leaves_its_place(computer: Computer, tmp_path: Path) -> None:
    for number in range(3):
        place = tmp_path / f"{number}"
        computing = asyncio.create_task(computer.compute(functions.says_where_and_stays, place))
        process = await written(place)
        computing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await computing
        assert await ended(process)
    assert await computer.compute(math.factorial, 3) == 6


async def test_processes_end_with_the_pool(tmp_path: Path) -> None:
    setup = ComputeSetup(folder=None, path=[str(Path(entry).absolute()) for entry in sys.path], memory_mib=512)
    async with ComputePool(setup, structlog.get_logger(), size=1) as pool:
        process = await Computer(pool).compute(functions.process_id)
    assert await ended(process)

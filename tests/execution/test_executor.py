"""The loop that strategies share: who blocks it is named."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Container, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from batchbus_service.execution.executor import Call, StrategyExecutor, forget_locals
from batchbus_strategies import Services
from tests.patience import PATIENCE


class Job:
    job_id = "batch_1"


async def _services(_stack: AsyncExitStack, _loops: Container[asyncio.AbstractEventLoop]) -> Services:
    return cast(Services, None)


@contextmanager
def _logged() -> Iterator[queue.Queue[EventDict]]:
    """What is logged, on whichever thread, as it comes."""
    lines: queue.Queue[EventDict] = queue.Queue()

    def note(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        lines.put(line)
        raise structlog.DropEvent

    with structlog.testing.capture_logs(processors=[note]):
        yield lines


async def test_a_strategy_that_blocks_the_others_is_named_with_its_job_and_what_it_is_doing() -> None:
    let_go = threading.Event()

    async def blocks_them_all(_run: Any) -> None:
        let_go.wait(PATIENCE)

    with _logged() as logs:
        async with StrategyExecutor(_services) as executor:
            call: Call[None] = executor.start(blocks_them_all, Job())
            blocks = await asyncio.to_thread(logs.get, timeout=PATIENCE)
            let_go.set()
            await asyncio.wrap_future(call.future)
            blocked = await asyncio.to_thread(logs.get, timeout=PATIENCE)
    assert logs.empty()
    assert blocks["event"] == "strategy_blocks_others"
    assert blocks["strategy"].endswith("blocks_them_all in job batch_1")
    assert "let_go.wait(PATIENCE)" in blocks["doing"]
    assert (blocked["event"], blocked["strategy"]) == ("strategy_blocked_others", blocks["strategy"])


async def test_who_blocks_the_others_is_named_even_after_a_strategy_has_cancelled_all_that_is_on_the_loop() -> None:
    let_go = threading.Event()

    async def cancels_all(_run: Any) -> None:
        while len(everything := asyncio.all_tasks()) == 1:  # noqa: ASYNC110 - nothing tells when the loop is looked at
            await asyncio.sleep(0)  # one turn of the loop, until another task is on it
        for task in everything - {asyncio.current_task()}:
            task.cancel()

    async def blocks_them_all(_run: Any) -> None:
        let_go.wait(PATIENCE)

    with _logged() as logs:
        async with StrategyExecutor(_services) as executor:
            async with asyncio.timeout(PATIENCE):
                cancels: Call[None] = executor.start(cancels_all, Job())
                await asyncio.wrap_future(cancels.future)
            call: Call[None] = executor.start(blocks_them_all, Job())
            blocks = await asyncio.to_thread(logs.get, timeout=PATIENCE)
            let_go.set()
            await asyncio.wrap_future(call.future)
    assert blocks["event"] == "strategy_blocks_others"


async def test_a_strategy_that_awaits_is_not_named() -> None:
    async def awaits(_run: Any) -> None:
        await asyncio.sleep(1.6)  # longer than what counts as blocking, and looked at all the while

    with structlog.testing.capture_logs() as logs:
        async with StrategyExecutor(_services) as executor:
            call: Call[None] = executor.start(awaits, Job())
            await asyncio.wrap_future(call.future)
    assert logs == []


def test_what_a_failed_function_held_is_let_go_of_at_once() -> None:
    class Large:
        pass

    kept: list[weakref.ref[Large]] = []

    def fails() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        try:
            raise OSError
        except OSError as error:
            raise ValueError("large") from error

    failed: list[ValueError] = []
    try:
        fails()
    except ValueError as error:
        failed.append(error)
    assert kept[0]() is not None
    forget_locals(failed[0])
    assert kept[0]() is None


def test_what_the_functions_of_a_failed_task_group_held_is_let_go_of_too() -> None:
    class Large:
        pass

    kept: list[weakref.ref[Large]] = []

    def fails() -> OSError:
        large = Large()
        kept.append(weakref.ref(large))
        try:
            raise OSError
        except OSError as error:
            return error

    group = ExceptionGroup("of a task group", [fails()])
    assert kept[0]() is not None
    forget_locals(group)
    assert kept[0]() is None

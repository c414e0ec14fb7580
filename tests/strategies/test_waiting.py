"""Waits that another thread ends: at once, and those that begin later, too."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from batchbus_strategies.waiting import Interruption
from tests.patience import PATIENCE


class Waiting:
    """Waits on the loop, or in a thread, for much longer than the test."""

    def __init__(self, interruption: Interruption, *, blocking: bool) -> None:
        self._interruption = interruption
        self._blocking = blocking

    async def wait(self, *, seconds: float | None = PATIENCE, until: Future[None] | None = None) -> None:
        async with asyncio.timeout(PATIENCE / 10):
            if self._blocking:
                await asyncio.to_thread(self._interruption.wait_blocking, seconds=seconds, until=until)
            else:
                await self._interruption.wait(seconds=seconds, until=until)


@pytest.fixture
def interruption() -> Interruption:
    return Interruption()


@pytest.fixture(params=["loop", "thread"])
def waiting(request: pytest.FixtureRequest, interruption: Interruption) -> Waiting:
    return Waiting(interruption, blocking=request.param == "thread")


async def test_an_interruption_ends_all_waits_and_those_that_begin_later(
    waiting: Waiting, interruption: Interruption
) -> None:
    waits = [asyncio.create_task(waiting.wait()) for _ in range(3)]
    await asyncio.sleep(0)  # they begin to wait
    threading.Thread(target=interruption.set).start()
    await asyncio.gather(*waits)
    await waiting.wait()


async def test_a_wait_ends_when_its_time_is_over_or_what_it_waits_for_is_done(waiting: Waiting) -> None:
    await waiting.wait(seconds=0.001)
    done: Future[None] = Future()
    wait = asyncio.create_task(waiting.wait(seconds=None, until=done))
    await asyncio.sleep(0)  # they begin to wait
    threading.Thread(target=done.set_result, args=(None,)).start()
    await wait
    await waiting.wait(seconds=None, until=done)


async def test_after_it_was_cleared_waits_last_again(waiting: Waiting, interruption: Interruption) -> None:
    interruption.set()
    await waiting.wait()
    interruption.clear()
    wait = asyncio.create_task(waiting.wait())
    await asyncio.wait([wait], timeout=0.05)
    assert not wait.done()
    interruption.set()
    await wait

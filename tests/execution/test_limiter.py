"""Limits over several processes, on virtual time: as many permits as allowed, never more, and with few questions."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import pytest
import structlog
from structlog.testing import capture_logs

from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.permits import GUARD_SECONDS, PermitWindow
from batchbus_service.execution.limiter import Limiter
from tests.engine.virtual_time import VirtualClock, run_virtually, server_time
from tests.storage.memory.permits import MemoryPermitStore


class Store(MemoryPermitStore):
    """Takes a while for each answer, and counts them. The first `failures` fail."""

    def __init__(self, *, seconds: float = 0.002, failures: int = 0) -> None:
        super().__init__()
        self._seconds = seconds
        self._failures = failures
        self.asked = 0

    async def get(self, name: str) -> PermitWindow | None:
        self.asked += 1
        if self.asked <= self._failures:
            raise StoreUnavailable("away")
        await asyncio.sleep(self._seconds)  # the time is virtual
        return await super().get(name)

    async def write(self, old: PermitWindow | None, new: PermitWindow) -> bool:
        await asyncio.sleep(self._seconds)  # the time is virtual
        return await super().write(old, new)


class SkewedClock(VirtualClock):
    """A worker's idea of the server's time, which is off by some seconds."""

    def __init__(self, off: float) -> None:
        super().__init__(asyncio.get_running_loop())
        self._off = off

    def now(self) -> datetime:
        return server_time(asyncio.get_running_loop(), self._off)


class Process:
    """A worker with a limiter, and runs that use permits as soon as they have them."""

    def __init__(self, store: Store, *, off: float = 0.0) -> None:
        self.clock = SkewedClock(off)
        self.limiter = Limiter(store, self.clock, structlog.get_logger())
        self.used: list[float] = []
        """When calls were made, on the server's clock."""

    async def use(self, times: int, per_second: float, *, pause: float = 0.0) -> None:
        for _ in range(times):
            while True:
                grant = await self.limiter.permit("geo", per_second)
                await asyncio.sleep(max(0.0, grant.at - self.clock.monotonic()))  # the time is virtual
                if self.clock.monotonic() <= grant.until:
                    break
            self.used.append(server_time(asyncio.get_running_loop(), 0).timestamp())
            await asyncio.sleep(pause)  # the time is virtual


def most_in_a_second(processes: Sequence[Process]) -> int:
    return max(Counter(int(used) for process in processes for used in process.used).values())


@pytest.mark.parametrize("per_second", [1, 5, 50, 800])
def test_a_limit_is_never_exceeded_and_used_up_however_clocks_differ(per_second: int) -> None:
    times = 4 * per_second

    async def main() -> tuple[int, float]:
        store = Store()
        processes = [Process(store, off=off) for off in (0.0, GUARD_SECONDS * 0.9, -GUARD_SECONDS * 0.9)]
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(process.use(times // 4, per_second) for process in processes for _ in range(4)))
        return most_in_a_second(processes), asyncio.get_running_loop().time() - began

    most, seconds = run_virtually(main())
    assert most <= per_second
    assert 3 * times / per_second - 1 <= seconds <= 3 * times / per_second * 1.2 + 2


def test_calls_are_spread_over_the_second() -> None:
    async def main() -> list[float]:
        process = Process(Store())
        await asyncio.gather(*(process.use(1, 10) for _ in range(10)))
        return process.used

    used = run_virtually(main())
    assert all(later - earlier > 0.07 for earlier, later in itertools.pairwise(used))


def test_where_the_rate_is_high_few_questions_are_asked() -> None:
    async def main() -> int:
        store = Store()
        await Process(store).use(3000, 1000)
        return store.asked

    assert run_virtually(main()) < 150


def test_a_process_that_is_slow_leaves_the_others_what_it_does_not_use() -> None:
    async def main() -> float:
        store = Store()
        slow, fast = Process(store), Process(store)
        hindering = asyncio.create_task(slow.use(1000, 200, pause=0.06))
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(fast.use(100, 200) for _ in range(8)))
        hindering.cancel()
        assert most_in_a_second([slow, fast]) <= 200
        return 800 / (asyncio.get_running_loop().time() - began)

    assert run_virtually(main()) > 120


def test_who_gives_up_holds_nobody_up() -> None:
    async def main() -> None:
        process = Process(Store())
        waiting = [asyncio.create_task(process.limiter.permit("geo", 0.01)) for _ in range(3)]
        async with asyncio.timeout(2):
            await waiting[0]
        waiting[1].cancel()
        async with asyncio.timeout(250):
            await waiting[2]

    run_virtually(main())


def test_an_outage_of_the_database_is_waited_out() -> None:
    async def main() -> None:
        await Process(Store(failures=5)).use(3, 10)

    with capture_logs() as logs:
        run_virtually(main())
    assert [line["event"] for line in logs] == ["no_permits"] * 5


def test_different_limits_under_one_name_are_logged_once_and_the_lowest_holds() -> None:
    async def main() -> int:
        store = Store()
        low, high = Process(store), Process(store)
        await asyncio.gather(low.use(20, 5), high.use(20, 50))
        return max(Counter(int(used) for used in low.used + high.used if used >= low.used[0] + 2).values())

    with capture_logs() as logs:
        assert run_virtually(main()) <= 5
    (told,) = [line for line in logs if line["event"] == "limits_differ"]
    assert (told["limit"], told["per_second"], told["holds"]) == ("geo", 50, 5)

"""What every store of permits must do."""

from __future__ import annotations

import asyncio

from batchbus_service.domain.permits import PermitWindow, reserve
from batchbus_service.domain.ports import Stores

T0 = 1_780_000_000.0


async def test_a_window_comes_back_as_it_was_written(stores: Stores) -> None:
    await stores.permits.prepare()
    assert await stores.permits.get("geo") is None
    for per_second in (5.0, 0.3):
        window = reserve(None, "geo", per_second, T0, 3).window
        stored = await stores.permits.get("geo")
        assert await stores.permits.write(stored, window)
        assert await stores.permits.get("geo") == window
        assert await stores.permits.get("other") is None


async def test_a_window_is_written_only_over_what_was_read(stores: Stores) -> None:
    first = reserve(None, "geo", 5, T0, 1).window
    assert await stores.permits.write(None, first)
    assert not await stores.permits.write(None, first)
    second = reserve(first, "geo", 5, T0, 1).window
    assert await stores.permits.write(first, second)
    assert not await stores.permits.write(first, second)
    assert await stores.permits.get("geo") == second


async def test_of_many_who_reserve_at_once_none_gets_what_another_has(stores: Stores) -> None:
    async def taken() -> tuple[float, ...]:
        while True:
            stored: PermitWindow | None = await stores.permits.get("geo")
            reserved = reserve(stored, "geo", 12, T0, 1)
            if reserved.window == stored or await stores.permits.write(stored, reserved.window):
                return reserved.moments

    moments = [moment for each in await asyncio.gather(*(taken() for _ in range(30))) for moment in each]
    assert len(moments) == len(set(moments)) == 24

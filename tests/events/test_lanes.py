"""What belongs to one job is done one after another, whatever one piece of it raises."""

from __future__ import annotations

import asyncio

from batchbus_events.lanes import Lanes
from tests.patience import PATIENCE


async def test_a_lane_goes_on_after_work_that_raised() -> None:
    done: list[str] = []
    all_done = asyncio.Event()

    async def work(item: str) -> None:
        if item == "broken":
            raise KeyError(item)
        done.append(item)
        if item == "last":
            all_done.set()

    lanes = Lanes(work)
    for place, item in enumerate(["first", "broken", "last"]):
        lanes.add("job", place, item)
    async with asyncio.timeout(PATIENCE):
        await all_done.wait()
    await lanes.close(0)
    assert done == ["first", "last"]

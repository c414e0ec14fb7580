"""The items of one job are worked on one after another, also after one that raised an error."""

from __future__ import annotations

import asyncio

from batchbus_events.keyed_executor import KeyedExecutor
from tests.patience import PATIENCE


async def test_the_next_item_follows_after_one_that_raised_an_error() -> None:
    done: list[str] = []
    all_done = asyncio.Event()

    async def work(item: str) -> None:
        if item == "broken":
            raise KeyError(item)
        done.append(item)
        if item == "last":
            all_done.set()

    executor = KeyedExecutor(work)
    for place, item in enumerate(["first", "broken", "last"]):
        executor.add("job", place, item)
    async with asyncio.timeout(PATIENCE):
        await all_done.wait()
    await executor.close(0)
    assert done == ["first", "last"]

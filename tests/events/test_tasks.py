"""Ending tasks for certain, and reading several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from batchbus_events.tasks import end, merged


async def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    waiting = asyncio.Event()

    async def connect() -> None:
        with suppress(asyncio.CancelledError):
            waiting.set()
            await asyncio.Event().wait()

    async def supervise() -> None:
        await asyncio.create_task(connect())
        await asyncio.Event().wait()

    supervisor = asyncio.create_task(supervise())
    await waiting.wait()

    await end(supervisor)

    assert supervisor.cancelled()


async def test_how_a_task_ended_is_not_for_the_one_that_ends_it() -> None:
    async def fail() -> None:
        raise ValueError("not yours")

    failing, waiting = asyncio.create_task(fail()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait((failing,))  # so both have begun

    await end(failing, waiting)

    assert isinstance(failing.exception(), ValueError)
    assert waiting.cancelled()


async def test_streams_are_read_as_one_until_the_first_of_them_ends() -> None:
    async def three() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number

    async def silent() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 0

    assert [number async for number in merged(three(), silent())] == [0, 1, 2]


async def test_there_may_be_nothing_to_end() -> None:
    await end()

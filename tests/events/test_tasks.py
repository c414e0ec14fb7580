"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from batchbus_events.tasks import end


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

    await end(failing, waiting)

    assert isinstance(failing.exception(), ValueError)
    assert waiting.cancelled()


async def test_there_may_be_nothing_to_end() -> None:
    await end()

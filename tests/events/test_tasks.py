"""Ending tasks for certain, reading several streams as one, and reading one ahead."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest

from batchbus_events.tasks import ahead, end, merged


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


async def test_a_stream_is_read_ahead_while_what_it_gave_is_worked_on() -> None:
    fetched: list[int] = []
    second = asyncio.Event()

    async def numbers() -> AsyncGenerator[int, None]:
        for number in range(3):
            fetched.append(number)
            if number == 1:
                second.set()
            yield number

    seen = []
    async for number in ahead(numbers()):
        await second.wait()
        seen.append((number, len(fetched)))
    assert seen[0] == (0, 2)
    assert [number for number, _ in seen] == fetched == [0, 1, 2]


async def test_a_reader_that_stops_reading_ahead_closes_the_stream_and_hears_of_no_later_error() -> None:
    closed = asyncio.Event()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))

    async def breaking() -> AsyncGenerator[int, None]:
        try:
            yield 0
            raise ValueError("not yours")
        finally:
            closed.set()

    async with aclosing(ahead(breaking())) as stream:
        async for _ in stream:
            await closed.wait()
            break
    del stream
    gc.collect()
    assert complaints == []


async def test_what_a_stream_raises_comes_behind_what_it_gave() -> None:
    async def breaking() -> AsyncGenerator[int, None]:
        yield 0
        raise ValueError("yours")

    seen = []
    with pytest.raises(ValueError, match="yours"):
        async for number in ahead(breaking()):
            seen.append(number)
    assert seen == [0]


async def test_there_may_be_nothing_to_end() -> None:
    await end()

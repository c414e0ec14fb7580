"""What the log of every Bus promises (`batchbus_events.bus`), run against the memory bus and against RabbitMQ."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, LogGap, Message
from tests.events.conftest import message
from tests.patience import PATIENCE


async def test_the_log_has_every_lifecycle_event_in_order_and_nothing_else(bus: Bus) -> None:
    for number in range(30):
        await bus.publish(topics.EVENTS, message(str(number).encode(), "batch.completed.tests"))
        await bus.publish(topics.EVENTS, message(b"progress", "batch.progress.tests"))

    once = [entry.body async for entry in bus.read_log()]
    twice = [entry.body async for entry in bus.read_log()]

    assert once == twice == [str(number).encode() for number in range(30)]


async def test_reading_an_empty_log_ends(bus: Bus) -> None:
    assert [entry async for entry in bus.read_log()] == []


@pytest.mark.parametrize(("since", "expected"), [(timedelta(hours=-1), [b"{}"]), (timedelta(hours=1), [])])
async def test_the_log_is_read_from_about_a_time(bus: Bus, since: timedelta, expected: list[bytes]) -> None:
    await bus.publish(topics.EVENTS, message())

    assert [entry.body async for entry in bus.read_log(since=datetime.now(UTC) + since)] == expected


async def test_the_log_can_be_followed_from_the_past_into_the_present(bus: Bus) -> None:
    for number in range(3):
        await bus.publish(topics.EVENTS, message(str(number).encode()))

    async with aclosing(bus.tail_log(since=datetime.now(UTC) - timedelta(hours=1))) as log, asyncio.timeout(PATIENCE):
        assert await anext(log) == LogGap(certain=False)  # who knows what was an hour ago
        told = [await anext(log) for _ in range(3)]
        for number in range(3, 6):
            await bus.publish(topics.EVENTS, message(str(number).encode()))
            await bus.publish(topics.EVENTS, message(b"progress", "batch.progress.tests"))
        told += [await anext(log) for _ in range(3)]

    assert [entry.body for entry in told if isinstance(entry, Message)] == [str(n).encode() for n in range(6)]


async def test_a_log_that_reaches_back_far_enough_has_no_gap(bus: Bus) -> None:
    await bus.publish(topics.EVENTS, message(b"before"))
    since = datetime.now(UTC) + timedelta(seconds=1)
    while datetime.now(UTC) < since:  # noqa: ASYNC110 - RabbitMQ takes whole seconds
        await asyncio.sleep(0.1)  # until the clock is there
    await bus.publish(topics.EVENTS, message(b"after"))

    async with aclosing(bus.tail_log(since=since)) as log, asyncio.timeout(PATIENCE):
        entry = await anext(log)

    assert isinstance(entry, Message)
    assert entry.body == b"after"


async def test_an_empty_log_can_be_followed(bus: Bus) -> None:
    async with aclosing(bus.tail_log()) as log, asyncio.timeout(PATIENCE):
        assert await anext(log) == LogGap(certain=False)
        following = asyncio.ensure_future(anext(log))
        await bus.publish(topics.EVENTS, message(b"first"))
        entry = await following

    assert isinstance(entry, Message)
    assert entry.body == b"first"

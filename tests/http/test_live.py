"""The fan-out of live events: who gets what, and what becomes of those who do not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import structlog

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.http.live.feeds import CutOff, LiveFeed, LiveReader

JOB, OTHER = new_job_id(), new_job_id()


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    async with MemoryBus() as bus:
        yield bus


@pytest.fixture
async def feed(bus: MemoryBus) -> AsyncIterator[LiveFeed]:
    feed = LiveFeed(bus, structlog.get_logger())
    yield feed
    await feed.close()


async def _publish(bus: MemoryBus, type: str, job_id: str = JOB, *, sequence: int | None = None, n: int = 0) -> None:
    event = Event(type=type, source="/batchbus", id=new_ulid(), subject=job_id, sequence=sequence, data={"n": n})
    key = topics.routing_key(type, "rows", job_id)
    await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key, message_id=event.id))


async def _read(reader: LiveReader, count: int) -> list[tuple[str, object]]:
    events = [await reader.next(1) for _ in range(count)]
    return [(live.event.type, live.event.data["n"]) for live in events if live]


async def test_a_reader_gets_the_events_of_its_job_in_order(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(job_id=JOB) as reader:
        for n in range(3):
            await _publish(bus, "batch.updated", sequence=n + 1, n=n)
            await _publish(bus, "batch.updated", OTHER, sequence=n + 1, n=n)
        assert await _read(reader, 3) == [("batch.updated", 0), ("batch.updated", 1), ("batch.updated", 2)]
        assert await reader.next(0.01) is None


async def test_newer_progress_takes_the_place_of_older_and_passes_nothing(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(pattern="batch.#") as reader:
        for n in range(5000):
            await _publish(bus, "batch.progress", n=n)
        await _publish(bus, "batch.completed", sequence=5)
        async with asyncio.timeout(5):
            seen = await _read(reader, 2)
            while seen[-1][0] != "batch.completed":
                seen += await _read(reader, 1)
    assert seen[-2:] == [("batch.progress", 4999), ("batch.completed", 0)]
    assert len(seen) < 100


async def test_a_reader_that_falls_far_behind_is_cut_off_and_no_other(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(job_id=JOB) as slow, feed.reader(job_id=JOB) as quick:
        for n in range(2000):
            await _publish(bus, "batch.updated", sequence=n + 1, n=n)
            assert await _read(quick, 1) == [("batch.updated", n)]
        with pytest.raises(CutOff):
            await slow.next(1)


async def test_progress_is_told_the_more_rarely_the_more_readers_there_are(bus: MemoryBus, feed: LiveFeed) -> None:
    async with AsyncExitStack() as stack:
        reader, *_ = [await stack.enter_async_context(feed.reader(job_id=JOB)) for _ in range(100)]
        told: list[tuple[str, object]] = []
        for n in range(50):
            await _publish(bus, "batch.progress", n=n)
            if happened := await reader.next(0):
                told.append((happened.event.type, happened.event.data["n"]))
        await _publish(bus, "batch.completed", sequence=5)
        async with asyncio.timeout(5):
            while ("batch.completed", 0) not in told:
                told += await _read(reader, 1)
    assert len(told) < 50
    assert told[-2:] == [("batch.progress", 49), ("batch.completed", 0)]


async def test_an_event_is_put_into_words_once_for_all_readers(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(job_id=JOB) as one, feed.reader(job_id=JOB) as other:
        await _publish(bus, "batch.updated", sequence=1)
        told, told_again = await one.next(1), await other.next(1)
    assert told and told_again and told.in_its_job is told_again.in_its_job


async def test_an_event_that_is_published_twice_is_told_once(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(pattern="batch.#") as reader:
        event = Event(type="batch.updated", source="/batchbus", id=new_ulid(), subject=JOB, sequence=1, data={"n": 1})
        for _ in range(2):
            message = Message(body=encode(event), routing_key=f"batch.updated.rows.{JOB}", message_id=event.id)
            await bus.publish(topics.EVENTS, message)
        await _publish(bus, "batch.updated", sequence=2, n=2)
        assert await _read(reader, 2) == [("batch.updated", 1), ("batch.updated", 2)]


async def test_when_the_queue_was_away_a_job_is_looked_up_and_a_reader_of_all_comes_back(feed: LiveFeed) -> None:
    async with feed.reader(job_id=JOB) as of_a_job, feed.reader(pattern="batch.#") as of_all:
        feed.rebuilt()
        assert await of_a_job.next(60) is None
        with pytest.raises(CutOff):
            await of_all.next(60)


async def test_who_does_not_come_for_being_cut_off_is_broken_off(feed: LiveFeed) -> None:
    broken_off = asyncio.Event()
    async with feed.reader(job_id=JOB, break_off=broken_off.set):
        await feed.close()
        async with asyncio.timeout(10):
            await broken_off.wait()


async def test_closing_the_feed_ends_every_reader(feed: LiveFeed) -> None:
    async with feed.reader(job_id=JOB) as one, feed.reader(pattern="batch.#") as other:
        await feed.close()
        for reader in (one, other):
            with pytest.raises(CutOff):
                await reader.next(1)


async def test_a_message_that_is_no_event_disturbs_nobody(bus: MemoryBus, feed: LiveFeed) -> None:
    async with feed.reader(pattern="#") as reader:
        await bus.publish(topics.EVENTS, Message(body=b"{", routing_key="batch.updated"))
        await _publish(bus, "batch.updated", sequence=1)
        assert await _read(reader, 1) == [("batch.updated", 0)]

"""What a subscriber remembers, in memory and in MongoDB: one suite for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_events.deduplication import Deduplication, Key, MemoryDeduplication, MongoDeduplication, Record
from batchbus_events.event import Event
from batchbus_events.ids import new_job_id, new_ulid


@asynccontextmanager
async def in_memory() -> AsyncIterator[Deduplication]:
    yield MemoryDeduplication()


@asynccontextmanager
async def in_mongodb(url: str, database: str) -> AsyncIterator[Deduplication]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url)
    try:
        await MongoDeduplication.open(client[database]["handled"])
        yield await MongoDeduplication.open(client[database]["handled"])
    finally:
        client.close()


@pytest.fixture(params=["memory", "mongodb"])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Deduplication]:
    if request.param == "memory":
        return in_memory()
    return in_mongodb(request.getfixturevalue("mongo_url"), request.getfixturevalue("database_name"))


@pytest.fixture
async def store(opening: AbstractAsyncContextManager[Deduplication]) -> AsyncIterator[Deduplication]:
    async with opening as opened:
        yield opened


def an_event(sequence: int | None = 1, job_id: str | None = None) -> Event:
    return Event(
        type="batch.updated",
        source="batchbus",
        id=new_ulid(),
        subject=job_id or new_job_id(),
        sequence=sequence,
        data={},
    )


async def test_an_event_is_handled_for_one_subscriber_and_one_replay(store: Deduplication) -> None:
    event = an_event()
    again = replace(event, replayid="r1", replayedat=datetime.now(UTC))

    await store.handled(Key.of("billing", event), event)

    assert (await store.look_up(Key.of("billing", event))).handled
    for other in (Key.of("shipping", event), Key.of("billing", again), Key.of("billing", an_event())):
        assert await store.look_up(other) == Record()


async def test_failures_are_counted_from_the_first_one_on(store: Deduplication) -> None:
    event = an_event()
    key = Key.of("billing", event)

    first = await store.failed(key, event, "no price")
    second = await store.failed(key, event, "still no price")

    assert (first.failures, second.failures, second.handled) == (1, 2, False)
    assert first.first_failure_at is not None
    assert first.first_failure_at == second.first_failure_at
    assert first.first_failure_at.tzinfo is not None
    assert await store.look_up(key) == second


async def test_what_was_parked_has_all_its_tries_again(store: Deduplication) -> None:
    event = an_event()
    key = Key.of("billing", event)
    await store.failed(key, event, "no price")

    await store.parked(key, event)

    assert await store.look_up(key) == Record()


async def test_the_last_sequence_of_a_job_is_remembered_whatever_became_of_the_event(store: Deduplication) -> None:
    job_id = new_job_id()
    first, second, third = (an_event(number, job_id) for number in (1, 2, 3))
    assert await store.last_sequence("billing", job_id) is None

    await store.handled(Key.of("billing", second), second)
    await store.handled(Key.of("billing", first), first)
    assert await store.last_sequence("billing", job_id) == 2

    await store.failed(Key.of("billing", third), third, "no price")
    await store.parked(Key.of("billing", third), third)
    assert await store.last_sequence("billing", job_id) == 3
    assert await store.last_sequence("shipping", job_id) is None


async def test_replays_and_events_without_a_sequence_say_nothing_about_it(store: Deduplication) -> None:
    job_id = new_job_id()
    replayed = replace(an_event(7, job_id), replayid="r1", replayedat=datetime.now(UTC))
    progress = an_event(None, job_id)

    for event in (replayed, progress):
        await store.handled(Key.of("billing", event), event)

    assert await store.last_sequence("billing", job_id) is None


async def test_many_write_at_once(store: Deduplication) -> None:
    event = an_event()
    key = Key.of("billing", event)

    await asyncio.gather(*(store.failed(key, event, "no price") for _ in range(10)))

    assert (await store.look_up(key)).failures == 10


async def test_how_long_is_remembered_can_be_changed(mongo_url: str, database_name: str) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    try:
        handled = client[database_name]["handled"]
        for keep in timedelta(days=30), timedelta(days=3), timedelta(days=3), timedelta(days=90):
            await MongoDeduplication.open(handled, keep=keep)
            expiry = (await handled.index_information())["at_1"]["expireAfterSeconds"]
            assert expiry == keep.total_seconds()
    finally:
        client.close()

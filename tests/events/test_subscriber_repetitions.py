"""Durable subscribers: what comes twice, again or not at all, on the memory bus and on RabbitMQ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from batchbus_events.bus import Bus
from batchbus_events.client import Client
from batchbus_events.deduplication import MemoryDeduplication
from batchbus_events.ids import new_job_id
from batchbus_events.subscriber import Gap
from tests.events.diary import EVERYTHING, Diary, fact, publish, ready, running
from tests.events.past import Past


async def test_an_event_that_comes_twice_is_handled_once(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    first, second = fact(job_id, 1), fact(job_id, 2)
    diary = Diary()
    await ready(bus)
    await publish(bus, first, first, second, first, fact(job_id, 3))

    async with running(client.subscriber("billing", EVERYTHING), diary):
        assert await diary.until(3) == [1, 2, 3]


@pytest.mark.parametrize(("policy", "expected"), [("process", [None, "r1", "r2"]), ("ignore", [None])])
async def test_a_replay_is_no_repetition_and_a_handler_says_what_becomes_of_it(
    bus: Bus, client: Client, policy: str, expected: list[str | None]
) -> None:
    event, last = fact(new_job_id(), 1), fact(new_job_id(), 1, "batch.completed")
    replays = [replace(event, replayid=replay, replayedat=datetime.now(UTC)) for replay in ("r1", "r1", "r2")]
    diary, end = Diary(), Diary()
    subscriber = client.subscriber("billing", EVERYTHING, concurrency=1)
    subscriber.on("batch.completed.#")(end)
    subscriber.on(replays="ignore" if policy == "ignore" else "process")(diary)
    await ready(bus)
    await publish(bus, event, *replays, last)

    async with running(subscriber):
        await diary.until(len(expected))
        await end.until(1)

    assert [event.replayid for event in diary.events] == expected


async def test_replays_may_have_a_handler_of_their_own(bus: Bus, client: Client) -> None:
    event = fact(new_job_id(), 1)
    diary, again = Diary(), Diary()
    subscriber = client.subscriber("billing", EVERYTHING)
    subscriber.on(replays=again)(diary)
    await ready(bus)
    await publish(bus, replace(event, replayid="r1", replayedat=datetime.now(UTC)), event)

    async with running(subscriber):
        assert await diary.until(1) == await again.until(1) == [1]


async def test_a_gap_is_filled_from_the_history(bus: Bus) -> None:
    job_id = new_job_id()
    diary = Diary()
    past = Past()
    past.events = [fact(job_id, number) for number in range(1, 5)]
    client = Client(bus, source="billing", history=past)
    await ready(bus)
    async with running(client.subscriber("billing", EVERYTHING), diary):
        await publish(bus, past.events[0])
        await diary.until(1)

        await publish(bus, past.events[3])

        assert await diary.until(4) == [1, 2, 3, 4]


async def test_a_gap_that_cannot_be_filled_is_reported_even_if_it_arose_while_nobody_ran(
    bus: Bus, client: Client
) -> None:
    job_id = new_job_id()
    deduplication = MemoryDeduplication()
    gaps: list[Gap] = []
    before, after = Diary(), Diary()
    await ready(bus)
    await publish(bus, fact(job_id, 1))
    async with running(client.subscriber("billing", EVERYTHING, deduplication=deduplication), before):
        await before.until(1)
    await publish(bus, fact(job_id, 3))

    async with running(
        client.subscriber("billing", EVERYTHING, deduplication=deduplication, on_gap=gaps.append), after
    ):
        assert await after.until(1) == [3]

    assert gaps == [Gap(job_id, after=1, before=3)]


async def test_where_only_some_events_are_wanted_numbers_that_are_missing_are_no_gap(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    gaps: list[Gap] = []
    diary = Diary()
    await ready(bus, patterns=["batch.completed.#"])
    await publish(bus, fact(job_id, 3, "batch.completed"), fact(job_id, 7, "batch.completed"))

    async with running(client.subscriber("billing", ["batch.completed.#"], on_gap=gaps.append), diary):
        assert await diary.until(2) == [3, 7]

    assert gaps == []

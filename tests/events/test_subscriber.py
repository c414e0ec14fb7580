"""Durable subscribers: what waits for them, what they do side by side, and how they are read; on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio

import pytest

from batchbus_events.bus import Bus
from batchbus_events.client import Client
from batchbus_events.deduplication import MemoryDeduplication
from batchbus_events.event import Event
from batchbus_events.ids import new_job_id
from batchbus_events.subscriber import EventHandler, Subscriber
from tests.events.diary import AT_ONCE, EVERYTHING, Diary, fact, publish, ready, running
from tests.patience import PATIENCE


async def test_what_happened_while_nobody_ran_is_handled_later(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    await ready(bus)
    await publish(bus, *(fact(job_id, number) for number in (1, 2, 3)))
    diary = Diary()

    async with running(client.subscriber("billing", EVERYTHING), diary):
        assert await diary.until(3) == [1, 2, 3]


async def test_events_of_one_job_are_handled_one_after_another_those_of_others_side_by_side(
    bus: Bus, client: Client
) -> None:
    jobs = [new_job_id() for _ in range(3)]
    everyone_is_here = asyncio.Barrier(3)
    busy: set[str | None] = set()

    async def meet(event: Event) -> None:
        assert event.subject not in busy
        busy.add(event.subject)
        await everyone_is_here.wait()
        busy.discard(event.subject)

    diary = Diary(meet)
    await ready(bus)
    await publish(bus, *(fact(job_id, number) for number in (1, 2) for job_id in jobs))
    async with running(client.subscriber("billing", EVERYTHING, concurrency=3), diary):
        await diary.until(6)

    for job_id in jobs:
        assert [event.sequence for event in diary.events if event.subject == job_id] == [1, 2]


async def test_no_more_handlers_run_than_are_allowed(bus: Bus, client: Client) -> None:
    now, most = 0, 0

    async def count(_: Event) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)  # one turn of the loop, in which another handler could begin
        now -= 1

    diary = Diary(count)
    await ready(bus)
    await publish(bus, *(fact(new_job_id(), 1) for _ in range(20)))
    async with running(client.subscriber("billing", EVERYTHING, concurrency=2), diary):
        await diary.until(20)

    assert most == 2


async def test_of_two_processes_the_second_stands_by_until_the_first_has_ended(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    first, second = Diary(), Diary()
    await ready(bus)
    async with running(client.subscriber("billing", EVERYTHING), second):
        pass  # has been there before
    standby = client.subscriber("billing", EVERYTHING)
    async with running(client.subscriber("billing", EVERYTHING), first):
        await publish(bus, fact(job_id, 1))
        await first.until(1)
        waiting = asyncio.create_task(_run(standby, second))
        await publish(bus, fact(job_id, 2), fact(job_id, 3))
        assert await first.until(3) == [1, 2, 3]
        assert second.events == []

    await publish(bus, fact(job_id, 4))
    assert await second.until(1) == [4]
    standby.stop()
    await waiting


async def _run(subscriber: Subscriber, handler: EventHandler) -> None:
    subscriber.on()(handler)
    await subscriber.run()


async def test_events_can_be_iterated_and_each_is_dealt_with_when_the_next_is_asked_for(
    bus: Bus, client: Client
) -> None:
    job_id = new_job_id()
    deduplication = MemoryDeduplication()
    await ready(bus)
    await publish(bus, *(fact(job_id, number) for number in (1, 2, 3)))
    async with (
        asyncio.timeout(PATIENCE),
        client.subscriber("billing", EVERYTHING, deduplication=deduplication).events() as events,
    ):
        assert [(await anext(events)).sequence for _ in range(2)] == [1, 2]

    async with (
        asyncio.timeout(PATIENCE),
        client.subscriber("billing", EVERYTHING, deduplication=deduplication).events() as events,
    ):
        assert [(await anext(events)).sequence for _ in range(2)] == [2, 3]


async def test_received_events_are_settled_one_by_one(bus: Bus, client: Client) -> None:
    first, second = new_job_id(), new_job_id()
    await ready(bus)
    await publish(bus, fact(first, 1), fact(first, 2), fact(second, 1))
    async with (
        asyncio.timeout(PATIENCE),
        client.subscriber("billing", EVERYTHING, retry=AT_ONCE).received() as received,
    ):
        one, other = await anext(received), await anext(received)
        assert {one.event.subject, other.event.subject} == {first, second}
        if one.event.subject == second:
            one, other = other, one

        one.fail(ValueError("not yet"))
        again = await anext(received)
        assert again.event == one.event
        again.ack()
        again.fail(ValueError("only the first verdict counts"))
        following = await anext(received)
        assert (following.event.subject, following.event.sequence) == (first, 2)
        following.ack()
        other.ack()

    await publish(bus, fact(first, 3))
    async with asyncio.timeout(PATIENCE), client.subscriber("billing", EVERYTHING).events() as events:
        assert (await anext(events)).sequence == 3


async def test_a_subscriber_is_run_or_read(client: Client) -> None:
    with pytest.raises(ValueError, match="has no handlers"):
        await client.subscriber("billing", EVERYTHING).run()
    subscriber = client.subscriber("billing", EVERYTHING)
    subscriber.on()(Diary())
    with pytest.raises(ValueError, match="run\\(\\) it"):
        async with subscriber.received():
            pass

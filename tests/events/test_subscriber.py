"""Durable subscribers: order, retries, parking, repetitions, replays and gaps, on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, Delivery, Message
from batchbus_events.client import Client
from batchbus_events.deduplication import Key, MemoryDeduplication, Record
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_events.parking import parked_queue, subscriber_queue
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.subscriber import EventHandler, Gap, Retry, Subscriber
from tests.events.inbox import Inbox
from tests.events.past import Past
from tests.patience import PATIENCE

AT_ONCE: Final = Retry(tries=3, first=0.001)
EVERYTHING: Final = ["batch.#"]


@asynccontextmanager
async def on_memory() -> AsyncIterator[Bus]:
    async with MemoryBus() as bus:
        yield bus


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Bus]:
    return on_memory() if request.param == "memory" else RabbitBus.open(request.getfixturevalue("amqp_vhost_url"))


@pytest.fixture
async def bus(opening: AbstractAsyncContextManager[Bus]) -> AsyncIterator[Bus]:
    async with opening as opened, asyncio.timeout(60):
        yield opened


@pytest.fixture
def client(bus: Bus) -> Client:
    return Client(bus, source="billing")


class Diary:
    """A handler that writes down what it was given, after it has done what the test wants it to do."""

    def __init__(self, deed: EventHandler | None = None) -> None:
        self._deed = deed
        self.events: list[Event] = []
        self._changed = asyncio.Condition()

    async def __call__(self, event: Event) -> None:
        if self._deed is not None:
            await self._deed(event)
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    async def until(self, count: int) -> list[int | None]:
        """The sequences, as soon as there are so many."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.events) >= count)
        return [event.sequence for event in self.events]


def fact(job_id: str, sequence: int, event_type: str = "batch.updated") -> Event:
    return Event(
        type=event_type,
        source="batchbus",
        id=new_ulid(),
        subject=job_id,
        sequence=sequence,
        time=datetime.now(UTC),
        data={"type": "t"},
    )


async def publish(bus: Bus, *events: Event) -> None:
    for event in events:
        key = topics.routing_key(event.type, "t", event.subject)
        await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key, message_id=event.id))


@asynccontextmanager
async def running(subscriber: Subscriber, *handlers: EventHandler) -> AsyncIterator[None]:
    for handler in handlers:
        subscriber.on()(handler)
    task = asyncio.create_task(subscriber.run())
    try:
        yield
    finally:
        subscriber.stop()
        async with asyncio.timeout(PATIENCE):
            await task


async def parked_in(bus: Bus, name: str) -> Message:
    inbox = Inbox()
    consumer = await bus.consume(parked_queue(name), inbox, prefetch=1)
    delivery = await inbox.next()
    await delivery.ack()
    await consumer.close()
    return delivery.message


async def ready(bus: Bus, patterns: list[str] = EVERYTHING) -> None:
    """The queue is there, as it is after the subscriber's first start."""
    await bus.declare(subscriber_queue("billing", patterns, crashes=20))


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


async def test_a_handler_that_fails_is_tried_again_and_the_jobs_next_event_waits(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    failures = iter([RuntimeError("one"), RuntimeError("two")])

    async def fail_twice(_: Event) -> None:
        if error := next(failures, None):
            raise error

    diary = Diary(fail_twice)
    await ready(bus)
    await publish(bus, fact(job_id, 1), fact(job_id, 2))

    async with running(client.subscriber("billing", EVERYTHING, retry=AT_ONCE), diary):
        assert await diary.until(2) == [1, 2]


async def test_what_fails_too_often_is_parked_with_the_reason_and_the_next_event_has_its_turn(
    bus: Bus, client: Client
) -> None:
    job_id = new_job_id()
    poison = fact(job_id, 1)

    async def fail(event: Event) -> None:
        if event.id == poison.id:
            raise ValueError("no price")

    diary = Diary(fail)
    await ready(bus)
    await publish(bus, poison, fact(job_id, 2))
    async with running(client.subscriber("billing", EVERYTHING, retry=AT_ONCE), diary):
        assert await diary.until(1) == [2]

    message = await parked_in(bus, "billing")
    assert message.body == encode(poison)
    assert message.routing_key == f"batch.updated.t.{job_id}"
    assert message.headers["x-batchbus-reason"] == "ValueError: no price"
    assert message.headers["x-batchbus-failures"] == AT_ONCE.tries
    assert message.headers["x-batchbus-queue"] == "billing"
    assert str(message.headers["x-batchbus-first-failure-at"]) <= str(message.headers["x-batchbus-parked-at"])


async def test_a_parked_event_that_is_given_back_has_all_its_tries_again(bus: Bus, client: Client) -> None:
    broken = True
    deduplication = MemoryDeduplication()

    async def fail(_: Event) -> None:
        if broken:
            raise ValueError("no price")

    await ready(bus)
    await publish(bus, fact(new_job_id(), 1))
    async with running(client.subscriber("billing", EVERYTHING, retry=AT_ONCE, deduplication=deduplication), fail):
        message = await parked_in(bus, "billing")
    broken = False
    diary = Diary(fail)

    await bus.publish("", message.addressed("billing"), mandatory=True)
    async with running(client.subscriber("billing", EVERYTHING, deduplication=deduplication), diary):
        assert await diary.until(1) == [1]


async def test_failures_are_counted_across_restarts(bus: Bus, client: Client) -> None:
    deduplication = MemoryDeduplication()
    tries = 0
    tried = asyncio.Event()

    async def fail(_: Event) -> None:
        nonlocal tries
        tries += 1
        tried.set()
        raise ValueError("no price")

    def subscriber(retry: Retry) -> Subscriber:
        return client.subscriber("billing", EVERYTHING, retry=retry, deduplication=deduplication)

    await ready(bus)
    await publish(bus, fact(new_job_id(), 1))
    async with running(subscriber(Retry(tries=3, first=60)), fail):
        async with asyncio.timeout(PATIENCE):
            await tried.wait()
    async with running(subscriber(AT_ONCE), fail):
        await parked_in(bus, "billing")

    assert tries == AT_ONCE.tries


async def test_what_nobody_lives_to_acknowledge_is_parked_by_the_broker(bus: Bus, client: Client) -> None:
    async def crash(delivery: Delivery) -> None:
        await delivery.requeue()

    await bus.declare(parked_queue("billing"))
    await bus.consume(subscriber_queue("billing", EVERYTHING, crashes=3), crash, prefetch=1)
    event = fact(new_job_id(), 1)
    await publish(bus, event)

    assert (await parked_in(bus, "billing")).body == encode(event)


async def test_what_is_no_event_is_parked(bus: Bus, client: Client) -> None:
    async with running(client.subscriber("billing", EVERYTHING), Diary()):
        await ready(bus)
        await bus.publish("", Message(body=b"oops", routing_key="billing"), mandatory=True)
        message = await parked_in(bus, "billing")

    assert message.body == b"oops"
    assert str(message.headers["x-batchbus-reason"]).startswith("not an event that can be read: not JSON")


class Away(MemoryDeduplication):
    """A store whose database is away at first."""

    def __init__(self) -> None:
        super().__init__()
        self.outages = 2

    async def look_up(self, key: Key) -> Record:
        if self.outages:
            self.outages -= 1
            raise ConnectionError("the database is away")
        return await super().look_up(key)


async def test_a_store_that_is_away_holds_events_up_and_costs_no_try(bus: Bus, client: Client) -> None:
    diary = Diary()
    await ready(bus)
    await publish(bus, fact(new_job_id(), 1))

    async with running(client.subscriber("billing", EVERYTHING, deduplication=Away(), retry=Retry(tries=1)), diary):
        assert await diary.until(1) == [1]


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

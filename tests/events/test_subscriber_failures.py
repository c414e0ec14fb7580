"""Durable subscribers when handling fails: retries, parking, a store that is away; on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio

from batchbus_events.bus import Bus, Delivery, Message
from batchbus_events.client import Client
from batchbus_events.deduplication import Key, MemoryDeduplication, Record
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id
from batchbus_events.parking import parked_queue, queue_of_earlier_versions, subscriber_queue
from batchbus_events.subscriber import Retry, Subscriber
from tests.events.diary import AT_ONCE, EVERYTHING, Diary, fact, parked_in, publish, ready, running
from tests.patience import PATIENCE


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


async def test_a_queue_of_an_earlier_version_is_read_on_as_it_is(bus: Bus, client: Client) -> None:
    async def fail(_: Event) -> None:
        raise ValueError("no price")

    await bus.declare(queue_of_earlier_versions("billing", EVERYTHING, crashes=20))
    event = fact(new_job_id(), 1)
    await publish(bus, event)
    async with running(client.subscriber("billing", EVERYTHING, retry=AT_ONCE), fail):
        parked = await parked_in(bus, "billing")
    assert parked.body == encode(event)


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

"""What every Bus promises to those who consume (`batchbus_events.bus.Consumer` and `Delivery`), on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, Delivery, Message, Unroutable
from batchbus_events.topics import Queue
from tests.events.conftest import Setup, message, subscription, trigger
from tests.events.inbox import Inbox
from tests.patience import PATIENCE


async def test_consumers_of_one_queue_share_its_messages(bus: Bus, shared: Queue) -> None:
    first, second = Inbox(), Inbox()
    await bus.consume(shared, first, prefetch=1)
    await bus.consume(shared, second, prefetch=1)

    for body in (b"one", b"two"):
        await bus.publish(topics.EVENTS, message(body))

    assert {*(await first.bodies(1)), *(await second.bodies(1))} == {b"one", b"two"}


async def test_no_more_than_prefetch_deliveries_are_open(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=2)
    for number in range(5):
        await bus.publish(topics.EVENTS, message(str(number).encode()))

    open_deliveries = [await inbox.next(), await inbox.next()]
    assert inbox.empty

    await open_deliveries[0].ack()
    assert (await inbox.next()).message.body == b"2"


async def test_handlers_run_side_by_side(bus: Bus) -> None:
    everyone_is_here = asyncio.Barrier(3)

    async def meet(delivery: Delivery) -> None:
        await everyone_is_here.wait()
        await delivery.ack()

    await bus.consume(subscription(), meet, prefetch=2)
    for _ in range(2):
        await bus.publish(topics.EVENTS, message())

    async with asyncio.timeout(PATIENCE):
        await everyone_is_here.wait()


async def test_a_requeued_message_comes_again(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=1)
    await bus.publish(topics.EVENTS, message(b"again"))

    await (await inbox.next()).requeue()

    second = await inbox.next()
    assert (second.message.body, second.redelivered) == (b"again", True)


async def test_an_answer_counts_once(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=1)
    await bus.publish(topics.EVENTS, message(b"one"))
    await bus.publish(topics.EVENTS, message(b"two"))
    delivery = await inbox.next()

    await delivery.ack()
    await delivery.requeue()
    await delivery.ack()

    assert await inbox.bodies(1) == [b"two"]


async def test_a_delivery_whose_handler_fails_stays_open_until_its_consumer_closes(
    bus: Bus, shared: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.Event()

    async def fail(delivery: Delivery) -> None:
        failed.set()
        raise RuntimeError("the database is away")

    failing = await bus.consume(shared, fail, prefetch=1)
    await bus.publish(topics.EVENTS, message(b"survives"))
    async with asyncio.timeout(PATIENCE):
        await failed.wait()
    await failing.close()
    inbox = Inbox()

    await bus.consume(shared, inbox, prefetch=1)

    delivery = await inbox.next()
    assert (delivery.message.body, delivery.redelivered) == (b"survives", True)
    assert "the database is away" in caplog.text


async def test_a_closing_consumer_waits_for_its_handlers_and_gives_the_rest_back(bus: Bus, shared: Queue) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        if delivery.message.body == b"slow":
            started.set()
            await finish.wait()
            await delivery.ack()

    consumer = await bus.consume(shared, slow, prefetch=2)
    await bus.publish(topics.EVENTS, message(b"slow"))
    await bus.publish(topics.EVENTS, message(b"left open"))
    async with asyncio.timeout(PATIENCE):
        await started.wait()

    closing = asyncio.create_task(consumer.close())
    await asyncio.sleep(0)  # one turn of the loop, in which it could have ended
    assert not closing.done()
    finish.set()
    async with asyncio.timeout(PATIENCE):
        await closing

    inbox = Inbox()
    await bus.consume(shared, inbox, prefetch=2)
    assert await inbox.bodies(1) == [b"left open"]
    assert inbox.empty


async def test_acknowledging_after_the_consumer_has_gone_does_nothing(bus: Bus, shared: Queue) -> None:
    inbox = Inbox()
    consumer = await bus.consume(shared, inbox, prefetch=1)
    await bus.publish(topics.EVENTS, message(b"late"))
    delivery = await inbox.next()

    await consumer.close()
    await consumer.close()
    await delivery.ack()

    await bus.consume(shared, inbox, prefetch=1)
    assert await inbox.bodies(1) == [b"late"]


async def test_a_handler_may_close_its_own_consumer(bus: Bus, shared: Queue) -> None:
    closed = asyncio.Event()

    async def once(delivery: Delivery) -> None:
        await delivery.ack()
        await consumer.close()
        closed.set()

    consumer = await bus.consume(shared, once, prefetch=1)
    await bus.publish(topics.EVENTS, message())

    async with asyncio.timeout(PATIENCE):
        await closed.wait()


async def test_a_paused_consumer_takes_nothing_and_its_deliveries_stay_open(bus: Bus, shared: Queue) -> None:
    inbox = Inbox()
    consumer = await bus.consume(shared, inbox, prefetch=10)
    await bus.publish(topics.EVENTS, message(b"before"))
    before = await inbox.next()

    await consumer.pause()
    await consumer.pause()
    await bus.publish(topics.EVENTS, message(b"meanwhile"))
    assert inbox.empty
    await before.ack()

    await consumer.resume()
    await consumer.resume()
    assert await inbox.bodies(1) == [b"meanwhile"]
    assert inbox.empty


async def test_an_exclusive_queue_ends_with_its_consumer(bus: Bus) -> None:
    consumer = await bus.consume(subscription(), Inbox(), prefetch=1)
    await bus.publish(topics.EVENTS, message(key="batch.progress"), mandatory=True)

    await consumer.close()

    with pytest.raises(Unroutable):
        await bus.publish(topics.EVENTS, message(key="batch.progress"), mandatory=True)


async def test_a_held_message_lets_others_pass(bus: Bus) -> None:
    """When its time is up it comes again: see the tests of each bus, which shorten the time."""
    inbox = Inbox()
    await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
    publishing = await trigger(bus, b"newer")
    delivery = await inbox.next()

    await delivery.hold()
    following = await trigger(bus, b"plain")
    assert await inbox.bodies(1) == [b"plain"]
    await following

    async with asyncio.timeout(PATIENCE):
        await publishing
    assert inbox.empty


async def test_a_trigger_put_back_too_often_is_parked(bus: Bus) -> None:
    inbox, parked = Inbox(), Inbox()
    await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
    await bus.consume(topics.PARKED_QUEUE, parked, prefetch=1)
    publishing = await trigger(bus, b"poison")

    limit = int(topics.TRIGGERS_QUEUE.arguments["x-delivery-limit"])
    for _ in range(limit + 1):
        await (await inbox.next()).requeue()

    delivery = await parked.next()
    await delivery.ack()
    await publishing
    assert delivery.message.body == b"poison"
    assert delivery.message.headers["x-first-death-reason"] == "delivery_limit"
    assert delivery.message.headers["x-first-death-queue"] == topics.TRIGGERS_QUEUE.name


async def test_what_was_put_back_and_is_parked_by_the_broker_is_still_its_publishers(setup: Setup) -> None:
    bus, vouches = setup.bus, setup.features.vouches_for_publishers
    assert bus.vouches == vouches
    inbox, parked = Inbox(), Inbox()
    await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
    await bus.consume(topics.PARKED_QUEUE, parked, prefetch=1)
    first = Message(body=b"poison", routing_key="batch.created.noop", user_id="shop")
    publishing = asyncio.create_task(bus.publish("", first.addressed(topics.TRIGGERS_QUEUE.name), mandatory=True))
    for _ in range(int(topics.TRIGGERS_QUEUE.arguments["x-delivery-limit"]) + 1):
        delivery = await inbox.next()
        assert delivery.message.user_id == ("shop" if vouches else None)
        await delivery.requeue()
    delivery = await parked.next()
    await delivery.ack()
    await publishing
    assert delivery.message.routing_key == "batch.created.noop"
    assert delivery.message.user_id == ("shop" if vouches else None)

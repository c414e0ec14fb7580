"""What every Bus promises to those who publish and declare (`batchbus_events.bus`), on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, PublishRefused, QueueState, Unroutable
from batchbus_events.event import MAX_BYTES
from batchbus_events.topics import Queue
from tests.events.conftest import Setup, message, subscription, trigger
from tests.events.inbox import Inbox
from tests.patience import PATIENCE


async def test_a_message_arrives_as_it_was_published(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=10)
    sent = replace(message(b"\x00\xff body"), headers={"reason": "why", "count": 3, "last": True})

    await bus.publish(topics.EVENTS, sent)

    delivery = await inbox.next()
    assert replace(delivery.message, user_id=None) == sent
    assert not delivery.redelivered
    await delivery.ack()


async def test_the_largest_event_there_may_be_fits(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=10)
    largest = b"x" * MAX_BYTES

    await asyncio.gather(*(bus.publish(topics.EVENTS, message(largest)) for _ in range(3)))

    assert await inbox.bodies(3) == [largest] * 3


async def test_the_broker_vouches_for_the_publisher_where_it_can(setup: Setup) -> None:
    inbox = Inbox()
    await setup.bus.consume(subscription(), inbox, prefetch=10)

    await setup.bus.publish(topics.EVENTS, replace(message(), user_id="somebody else"))

    expected = "guest" if setup.features.vouches_for_publishers else None
    assert (await inbox.next()).message.user_id == setup.bus.user == expected


async def test_messages_of_one_publisher_arrive_in_order(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=50)
    bodies = [str(number).encode() for number in range(500)]

    for body in bodies:
        await bus.publish(topics.EVENTS, message(body))

    assert await inbox.bodies(500) == bodies


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("batch.#", {"batch.completed", "batch.completed.import", "batch.failed.import.7"}),
        ("batch.*", {"batch.completed"}),
        ("batch.completed.#", {"batch.completed", "batch.completed.import"}),
        ("#.7", {"batch.failed.import.7"}),
        ("*.*.import.*", {"batch.failed.import.7"}),
    ],
)
async def test_a_pattern_chooses_by_the_words_of_the_routing_key(bus: Bus, pattern: str, expected: set[str]) -> None:
    inbox = Inbox()
    await bus.consume(subscription(pattern=pattern), inbox, prefetch=10)

    for key in ("batch.completed", "batch.completed.import", "batch.failed.import.7"):
        await bus.publish(topics.EVENTS, message(key.encode(), key))

    assert set(await inbox.bodies(len(expected))) == {key.encode() for key in expected}
    assert inbox.empty


async def test_a_fanout_ignores_the_routing_key(bus: Bus) -> None:
    first, second = Inbox(), Inbox()
    await bus.consume(topics.worker_queue("one"), first, prefetch=10)
    await bus.consume(topics.worker_queue("two"), second, prefetch=10)

    await bus.publish(topics.WORKERS, message(b"work is waiting", "anything"))

    assert await first.bodies(1) == await second.bodies(1) == [b"work is waiting"]


async def test_triggers_wait_for_their_first_consumer(bus: Bus) -> None:
    await bus.publish(topics.TRIGGERS, message(b"early", "batch.created"))
    inbox = Inbox()

    await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=10)

    assert await inbox.bodies(1) == [b"early"]


async def test_parked_messages_wait_for_an_operator(bus: Bus) -> None:
    await bus.publish(topics.PARKED, message(b"odd"))
    inbox = Inbox()

    await bus.consume(topics.PARKED_QUEUE, inbox, prefetch=10)

    assert await inbox.bodies(1) == [b"odd"]


async def test_publishing_to_nobody_is_confirmed(bus: Bus) -> None:
    await bus.publish(topics.EVENTS, message(key="batch.progress"))


async def test_a_mandatory_message_that_nobody_takes_is_unroutable(bus: Bus) -> None:
    with pytest.raises(Unroutable):
        await bus.publish(topics.EVENTS, message(key="batch.progress"), mandatory=True)


def full_with(messages: int) -> Queue:
    """A queue that refuses more than these."""
    return replace(subscription("tests.full"), arguments={"x-max-length": messages, "x-overflow": "reject-publish"})


async def test_a_full_queue_refuses(bus: Bus) -> None:
    consumer = await bus.consume(full_with(1), Inbox(), prefetch=1)
    await consumer.pause()

    with pytest.raises(PublishRefused):
        for _ in range(10):
            await bus.publish(topics.EVENTS, message())


async def test_messages_that_are_published_back_to_back_arrive_in_order_and_are_confirmed(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=50)
    bodies = [b"x" * (100_000 if number == 7 else 10) + str(number).encode() for number in range(30)]

    confirmed = await bus.publish_all(topics.EVENTS, [message(body) for body in bodies])

    assert confirmed == (30, None)
    assert await inbox.bodies(30) == bodies


async def test_of_messages_back_to_back_the_first_that_is_refused_is_known(bus: Bus) -> None:
    inbox = Inbox()
    consumer = await bus.consume(full_with(5), inbox, prefetch=1)
    await consumer.pause()

    confirmed, error = await bus.publish_all(topics.EVENTS, [message(str(number).encode()) for number in range(20)])

    assert isinstance(error, PublishRefused)
    assert 5 <= confirmed < 20, "the broker looks at the length a moment later"
    await consumer.resume()
    assert (await inbox.next()).message.body == b"0"


async def test_publishing_a_trigger_returns_when_it_is_persisted_if_the_bus_loses_messages(setup: Setup) -> None:
    inbox = Inbox()
    await setup.bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=1)
    publishing = await trigger(setup.bus, b"job")
    delivery = await inbox.next()

    if setup.features.waits_until_triggers_are_acknowledged:
        assert not publishing.done()
    await delivery.ack()

    async with asyncio.timeout(PATIENCE):
        await publishing


async def test_a_queue_that_is_declared_takes_messages_before_its_first_consumer(bus: Bus, shared: Queue) -> None:
    await bus.declare(shared)
    await bus.declare(shared)
    await bus.publish(topics.EVENTS, message(b"early"))
    inbox = Inbox()

    await bus.consume(shared, inbox, prefetch=1)

    assert await inbox.bodies(1) == [b"early"]


async def test_hundreds_of_publishers_at_once_lose_nothing(bus: Bus) -> None:
    inbox = Inbox()
    await bus.consume(subscription(), inbox, prefetch=100)
    bodies = {str(number).encode() for number in range(500)}

    await asyncio.gather(*(bus.publish(topics.EVENTS, message(body)) for body in bodies))

    assert set(await inbox.bodies(500)) == bodies


async def test_an_open_bus_is_connected(bus: Bus) -> None:
    assert bus.connected


async def test_a_message_can_be_sent_to_one_queue_by_its_name(bus: Bus, shared: Queue) -> None:
    addressed, other = Inbox(), Inbox()
    await bus.consume(shared, addressed, prefetch=10)
    await bus.consume(subscription(), other, prefetch=10)

    await bus.publish("", message(b"for one", shared.name), mandatory=True)
    await bus.publish(topics.EVENTS, message(b"for all"))

    assert await addressed.bodies(2) == [b"for one", b"for all"]
    assert await other.bodies(1) == [b"for all"]

    await bus.publish("", message(b"with its own key").addressed(shared.name))
    assert (await addressed.next()).message.routing_key == message().routing_key
    with pytest.raises(Unroutable):
        await bus.publish("", message(b"for nobody", f"no.{shared.name}"), mandatory=True)


async def test_a_queue_says_what_waits_in_it_and_who_consumes_it(bus: Bus, shared: Queue) -> None:
    assert await bus.inspect(shared.name) is None

    consumer = await bus.consume(shared, Inbox(), prefetch=1)
    assert await bus.inspect(shared.name) == QueueState(messages=0, consumers=1)

    await consumer.close()
    for _ in range(3):
        await bus.publish("", message(b"waits", shared.name))
    assert await bus.inspect(shared.name) == QueueState(messages=3, consumers=0)

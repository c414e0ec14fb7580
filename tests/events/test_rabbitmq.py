"""What RabbitMQ clients get wrong, each against a real broker that is made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aio_pika
import pytest
from yarl import URL

from batchbus_events import topics
from batchbus_events.bus import (
    HELD_SINCE,
    BusUnavailable,
    Delivery,
    Message,
    PublishRefused,
    QueueState,
    Unroutable,
)
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.topics import Binding, Queue
from tests.events.inbox import Inbox
from tests.events.proxy import Proxy
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode

EVENTS_QUEUE = Queue(
    name="tests.events", bindings=(Binding(topics.EVENTS, "batch.#"),), arguments={"x-queue-type": "quorum"}
)
EXCLUSIVE_QUEUE = Queue(
    name="tests.exclusive", bindings=(Binding(topics.EVENTS, "batch.#"),), durable=False, exclusive=True
)
_MALLORY = """
    rabbit_auth_backend_internal:add_user(<<"mallory">>, <<"pass">>, <<"tests">>),
    rabbit_auth_backend_internal:set_permissions(<<"mallory">>, <<"{vhost}">>, <<"">>, <<".*">>, <<"">>, <<"tests">>).
"""


@pytest.fixture
async def bus(url: str) -> AsyncIterator[RabbitBus]:
    async with RabbitBus.open(url, publish_timeout=PATIENCE) as opened:
        yield opened


def message(body: bytes = b"{}", key: str = "batch.progress") -> Message:
    """One that the log does not take, so that without a queue of the test's it is unroutable."""
    return Message(body=body, routing_key=key)


async def published_to_a_queue(bus: RabbitBus, what: Message) -> None:
    """Publish as soon as there is a queue again to take it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await bus.publish(topics.EVENTS, what, mandatory=True)
            except (Unroutable, BusUnavailable):
                await asyncio.sleep(0.05)  # consumers are back without a signal: tried again


async def disconnected(bus: RabbitBus) -> None:
    async with asyncio.timeout(PATIENCE):
        while bus.connected:  # noqa: ASYNC110 - the port has no signal for it
            await asyncio.sleep(0.01)  # asked again


async def close_connections(node: RabbitNode) -> None:
    everyone = '[rabbit_networking:close_connection(Pid, "a test") || Pid <- rabbit_networking:connections()].'
    await asyncio.to_thread(node.eval, everyone)


@pytest.mark.parametrize("queue", [EVENTS_QUEUE, EXCLUSIVE_QUEUE], ids=lambda queue: queue.name)
async def test_a_consumer_outlives_its_connection(rabbit_node: RabbitNode, bus: RabbitBus, queue: Queue) -> None:
    inbox = Inbox()
    await bus.consume(queue, inbox, prefetch=10)

    await close_connections(rabbit_node)
    await published_to_a_queue(bus, message(b"after"))

    assert await inbox.bodies(1) == [b"after"]


async def test_a_queue_of_another_connections_own_is_there_and_no_more_is_known_of_it(url: str, bus: RabbitBus) -> None:
    async with RabbitBus.open(url) as other:
        await other.consume(EXCLUSIVE_QUEUE, Inbox(), prefetch=1)

        assert await bus.inspect(EXCLUSIVE_QUEUE.name) == QueueState(None, None)


async def test_a_consumer_outlives_its_queue(url: str, bus: RabbitBus) -> None:
    inbox = Inbox()
    await bus.consume(EVENTS_QUEUE, inbox, prefetch=10)

    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.queue_delete(EVENTS_QUEUE.name)
    await published_to_a_queue(bus, message(b"after"))

    assert await inbox.bodies(1) == [b"after"]


async def test_the_bus_outlives_the_broker_and_a_publish_waits_for_it(rabbit_node: RabbitNode, bus: RabbitBus) -> None:
    inbox = Inbox()
    consumer = await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=10)
    await consumer.pause()
    await bus.publish(topics.TRIGGERS, message(b"before", "batch.created"))

    await asyncio.to_thread(rabbit_node.kill)
    await disconnected(bus)
    await consumer.resume()
    publishing = asyncio.create_task(bus.publish(topics.TRIGGERS, message(b"meanwhile", "batch.created")))
    await asyncio.to_thread(rabbit_node.start)

    assert await inbox.bodies(1) == [b"before"]
    await publishing
    assert await inbox.bodies(1) == [b"meanwhile"]
    assert bus.connected


async def test_a_paused_consumer_is_still_paused_after_a_reconnect(rabbit_node: RabbitNode, bus: RabbitBus) -> None:
    inbox = Inbox()
    consumer = await bus.consume(EXCLUSIVE_QUEUE, inbox, prefetch=10)
    await consumer.pause()

    await close_connections(rabbit_node)
    await published_to_a_queue(bus, message(b"after"))
    assert inbox.empty

    await consumer.resume()
    assert await inbox.bodies(1) == [b"after"]


async def test_a_handler_is_not_cancelled_when_the_connection_is_lost(rabbit_node: RabbitNode, bus: RabbitBus) -> None:
    started, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    redelivered = Inbox()

    async def handle(delivery: Delivery) -> None:
        if delivery.redelivered:
            await redelivered(delivery)
            return
        started.set()
        await finish.wait()
        await delivery.ack()
        finished.set()

    await bus.consume(EVENTS_QUEUE, handle, prefetch=10)
    await bus.publish(topics.EVENTS, message(b"twice"))
    async with asyncio.timeout(PATIENCE):
        await started.wait()

    await close_connections(rabbit_node)
    assert await redelivered.bodies(1) == [b"twice"]

    finish.set()
    async with asyncio.timeout(PATIENCE):
        await finished.wait()


async def test_a_delivery_that_outlasts_the_brokers_patience_comes_again(rabbit_node: RabbitNode, url: str) -> None:
    with (
        rabbit_node.setting("channel_tick_interval", 200, "60000"),
        rabbit_node.setting("consumer_timeout", 500, "1800000"),
    ):
        async with RabbitBus.open(url) as bus:
            inbox = Inbox()
            await bus.consume(EVENTS_QUEUE, inbox, prefetch=1)
            await bus.publish(topics.EVENTS, message(b"slow"))
            first = await inbox.next()

            second = await inbox.next()

            assert (first.redelivered, second.redelivered) == (False, True)
            await first.ack()
            await second.ack()
            await bus.publish(topics.EVENTS, message(b"next"))
            assert await inbox.bodies(1) == [b"next"]


async def test_a_publish_ends_in_time_when_the_broker_freezes_and_works_when_it_thaws(
    rabbit_node: RabbitNode, url: str
) -> None:
    async with RabbitBus.open(url, publish_timeout=0.5) as bus:
        await bus.publish(topics.EVENTS, message())
        rabbit_node.pause()

        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(
                *(bus.publish(topics.EVENTS, message()) for _ in range(50)), return_exceptions=True
            )
            with pytest.raises(BusUnavailable):
                await bus.publish(topics.EVENTS, message())
        rabbit_node.resume()

        assert {type(result) for result in results} == {BusUnavailable}
        inbox = Inbox()
        await bus.consume(EVENTS_QUEUE, inbox, prefetch=10)
        await published_to_a_queue(bus, message(b"thawed"))
        assert (await inbox.bodies(1))[-1] == b"thawed"


async def test_a_bus_closes_in_time_when_the_broker_is_frozen(rabbit_node: RabbitNode, url: str) -> None:
    async with asyncio.timeout(30):
        async with RabbitBus.open(url) as bus:
            await bus.consume(EVENTS_QUEUE, Inbox(), prefetch=1)
            rabbit_node.pause()


async def test_backpressure_on_publishing_does_not_stop_consuming(rabbit_node: RabbitNode, url: str) -> None:
    async with RabbitBus.open(url, publish_timeout=1) as bus:
        inbox = Inbox()
        consumer = await bus.consume(EVENTS_QUEUE, inbox, prefetch=10)
        await consumer.pause()
        await bus.publish(topics.EVENTS, message(b"before"))
        await asyncio.to_thread(rabbit_node.low_memory, True)
        try:
            with pytest.raises(BusUnavailable):
                for _ in range(10):
                    await bus.publish(topics.EVENTS, message(b"blocked"))
            await consumer.resume()
            assert await inbox.bodies(1) == [b"before"]
        finally:
            await asyncio.to_thread(rabbit_node.low_memory, False)


async def test_a_publisher_goes_on_after_a_refusal_and_after_a_return(bus: RabbitBus) -> None:
    full = replace(EXCLUSIVE_QUEUE, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    inbox = Inbox()
    consumer = await bus.consume(full, inbox, prefetch=1)
    await consumer.pause()
    await bus.publish(topics.EVENTS, message(b"fits"))

    results = await asyncio.gather(
        bus.publish(topics.EVENTS, message(b"refused")),
        bus.publish(topics.TRIGGERS, message(b"taken", "batch.created"), mandatory=True),
        bus.publish(topics.TRIGGERS, message(b"returned", "nothing.is.bound"), mandatory=True),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [PublishRefused, type(None), Unroutable]
    await consumer.resume()
    assert await inbox.bodies(1) == [b"fits"]


async def test_what_goes_out_back_to_back_keeps_its_order_when_connections_are_lost(url: str, bus: RabbitBus) -> None:
    inbox = Inbox()
    await bus.consume(EXCLUSIVE_QUEUE, inbox, prefetch=1000)
    pending, cuts = list(range(400)), 0
    async with Proxy.to(url) as proxy, RabbitBus.open(proxy.url, publish_timeout=PATIENCE) as publisher:
        while pending:
            if cuts < 8:
                cuts += 1
                asyncio.get_running_loop().call_later(0.0005 * cuts, proxy.cut)
            some = [message(str(number).encode()) for number in pending[:40]]
            confirmed, error = await publisher.publish_all(topics.EVENTS, some)
            assert error is None or isinstance(error, BusUnavailable)
            pending = pending[confirmed:]

    seen: list[int] = []
    while len(seen) < 400:
        delivery = await inbox.next()
        await delivery.ack()
        if (number := int(delivery.message.body)) not in seen:
            seen.append(number)
    assert seen == list(range(400))


async def test_a_held_message_comes_again_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(topics.HELD_QUEUE, arguments={**topics.HELD_QUEUE.arguments, "x-message-ttl": 300})
    monkeypatch.setattr(topics, "HELD_QUEUE", short)
    async with RabbitBus.open(url) as bus:
        inbox = Inbox()
        await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=10)
        sent = Message(body=b"newer", routing_key="batch.created.tests", message_id="one", headers={"count": 3})
        await bus.publish(topics.TRIGGERS, sent)
        first = await inbox.next()

        await first.hold()

        second = await inbox.next()
        since = second.message.headers[HELD_SINCE]
        await second.hold()
        third = await inbox.next()
        await third.ack()
        assert third.message == second.message
        assert third.message.headers[HELD_SINCE] == since, "it tells when it was held first"
        assert (second.message.body, second.message.routing_key) == (b"newer", "batch.created.tests")
        assert (second.message.message_id, second.message.user_id) == ("one", "guest")
        assert second.message.headers["count"] == 3
        assert not second.redelivered
        assert inbox.empty


async def test_nobody_else_can_pass_a_message_off_as_held(rabbit_node: RabbitNode, url: str, bus: RabbitBus) -> None:
    vhost = URL(url).path.removeprefix("/")
    rabbit_node.eval(_MALLORY.format(vhost=vhost))
    try:
        inbox = Inbox()
        await bus.consume(topics.TRIGGERS_QUEUE, inbox, prefetch=10)
        mallory = str(URL(url).with_user("mallory").with_password("pass"))
        async with RabbitBus.open(mallory, declare=False) as other:
            headers = {"batchbus-routing-key": "batch.created", "batchbus-user-id": "alice"}
            await other.publish("", Message(body=b"", routing_key=topics.TRIGGERS_QUEUE.name, headers=headers))

        assert (await inbox.next()).message.user_id == "mallory"
    finally:
        rabbit_node.eval('rabbit_auth_backend_internal:delete_user(<<"mallory">>, <<"tests">>).')


async def test_errors_never_show_the_password(rabbit_node: RabbitNode, caplog: pytest.LogCaptureFixture) -> None:
    for address in (f"amqp://guest:s3cret@127.0.0.1:{rabbit_node.port}/", "amqp://guest:s3cret@127.0.0.1:1/"):
        with pytest.raises(BusUnavailable) as raised:
            async with RabbitBus.open(address):
                pass
        assert "127.0.0.1" in str(raised.value)
        assert "s3cret" not in str(raised.value)
    assert "s3cret" not in caplog.text


async def test_reading_the_log_says_so_when_it_is_cut_short(rabbit_node: RabbitNode, bus: RabbitBus) -> None:
    more_than_one_prefetch = range(1_000)
    await asyncio.gather(*(bus.publish(topics.EVENTS, message(key="batch.completed")) for _ in more_than_one_prefetch))
    entries = bus.read_log()
    await anext(entries)

    await close_connections(rabbit_node)

    with pytest.raises(BusUnavailable):
        async for _ in entries:
            pass


async def test_a_broker_that_does_not_answer_any_more_is_not_connected(rabbit_node: RabbitNode, url: str) -> None:
    async with RabbitBus.open(url, look_every=0.1) as bus:
        rabbit_node.pause()
        try:
            await disconnected(bus)
        finally:
            rabbit_node.resume()
        async with asyncio.timeout(PATIENCE):
            while not bus.connected:  # noqa: ASYNC110 - the port has no signal for it
                await asyncio.sleep(0.05)  # asked again

"""The bus on RabbitMQ beside bare aio-pika: confirmed publishes and deliveries per second."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aio_pika

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.rabbitmq import RabbitBus
from tests.benchmarks.ground import Ground

__all__ = ["run"]

MESSAGES: Final = 5_000
ROUNDS: Final = 3
AT_ONCE: Final = 100
PREFETCH: Final = 200


async def run(ground: Ground) -> None:
    print(f"\nThe bus on RabbitMQ ({ROUNDS} rounds of {MESSAGES:,} messages, medians)")
    async with RabbitBus.open(ground.amqp_url) as bus, await aio_pika.connect(ground.amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(topics.EVENTS)
        message = _message()
        raw = aio_pika.Message(
            message.body,
            content_type=message.content_type,
            message_id=message.message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )

        async def bare_publish() -> None:
            await exchange.publish(raw, message.routing_key, mandatory=False)

        async def our_publish() -> None:
            await bus.publish(topics.EVENTS, message)

        bare, ours = [], []
        for _ in range(ROUNDS):
            bare.append(await _rate(bare_publish))
            ours.append(await _rate(our_publish))
        _report("publish, confirmed", statistics.median(bare), statistics.median(ours))

        bare, ours = [], []
        for _ in range(ROUNDS):
            bare.append(await _bare_consume(ground.amqp_url, bus, message))
            ours.append(await _our_consume(bus, message))
        _report("consume, acknowledged", statistics.median(bare), statistics.median(ours))


def _report(what: str, bare: float, ours: float) -> None:
    print(f"  {what}")
    print(f"    bare aio-pika {bare:8,.0f} messages/s")
    print(f"    batchbus      {ours:8,.0f} messages/s   {ours / bare:4.0%}")


def _message() -> Message:
    event = Event(type="batch.updated", source="/benchmark", id=new_ulid(), subject=new_job_id(), data={"a": 1})
    return Message(body=encode(event), routing_key="batch.benchmark", message_id=event.id)


async def _rate(one: Callable[[], Awaitable[None]]) -> float:
    left = iter(range(MESSAGES))

    async def publisher() -> None:
        for _ in left:
            await one()

    started = time.perf_counter()
    await asyncio.gather(*(publisher() for _ in range(AT_ONCE)))
    return MESSAGES / (time.perf_counter() - started)


async def _filled(bus: RabbitBus, queue: topics.Queue, message: Message) -> None:
    """The queue, with all the messages in it."""
    consumer = await bus.consume(queue, _never, prefetch=1)
    await consumer.close()
    await asyncio.gather(*(bus.publish(topics.EVENTS, message) for _ in range(MESSAGES)))


async def _never(delivery: Delivery) -> None:
    await delivery.requeue()


def _queue() -> topics.Queue:
    return topics.Queue(
        name=f"benchmark.{new_ulid()}",
        bindings=(topics.Binding(topics.EVENTS, "batch.benchmark"),),
        arguments={"x-queue-type": "quorum", "x-expires": 60_000},
    )


async def _our_consume(bus: RabbitBus, message: Message) -> float:
    queue, done, count = _queue(), asyncio.Event(), 0
    await _filled(bus, queue, message)

    async def handle(delivery: Delivery) -> None:
        nonlocal count
        await delivery.ack()
        count += 1
        if count == MESSAGES:
            done.set()

    started = time.perf_counter()
    consumer = await bus.consume(queue, handle, prefetch=PREFETCH)
    await done.wait()
    elapsed = time.perf_counter() - started
    await consumer.close()
    return MESSAGES / elapsed


async def _bare_consume(url: str, bus: RabbitBus, message: Message) -> float:
    queue, done, count = _queue(), asyncio.Event(), 0
    await _filled(bus, queue, message)

    async def handle(incoming: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal count
        await incoming.ack()
        count += 1
        if count == MESSAGES:
            done.set()

    started = time.perf_counter()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        declared = await channel.get_queue(queue.name)
        await declared.consume(handle)
        await done.wait()
        return MESSAGES / (time.perf_counter() - started)

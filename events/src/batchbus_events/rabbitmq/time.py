"""The time of day at the broker. AMQP has no question for it, but the broker writes it on each message that it dead-letters."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection

from batchbus_events.ids import new_ulid
from batchbus_events.rabbitmq.connection import close_quietly
from batchbus_events.topics import client_queue

__all__ = ["broker_time"]

_SECONDS: Final = 2.0
"""How long it may take. A broker that takes no messages at the moment does not tell its time, either."""


async def broker_time(connection: AbstractConnection, user: str | None) -> datetime | None:
    """The time of day on the broker's machine, cut to seconds; None if it cannot be found out.

    A message that is dead at once is dead-lettered, and `x-death` says when. Both queues end before this returns, or with the
    connection.
    """
    name = client_queue(user, f"client.{new_ulid()}")
    channel = await connection.channel(publisher_confirms=False)
    arrived: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    try:
        async with asyncio.timeout(_SECONDS):
            dead = await channel.declare_queue(f"{name}.dead", exclusive=True, auto_delete=True)
            short = await channel.declare_queue(
                f"{name}.short",
                exclusive=True,
                arguments={
                    "x-message-ttl": 0,
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": dead.name,
                },
            )
            await dead.consume(arrived.put, no_ack=True)
            await channel.default_exchange.publish(aio_pika.Message(b""), short.name)
            message = await arrived.get()
            await short.delete(if_unused=False, if_empty=False)
    except (aio_pika.exceptions.AMQPException, TimeoutError):
        return None
    finally:
        await close_quietly(channel)
    match message.headers.get("x-death"):
        case [{"time": datetime() as time}, *_]:
            return time.replace(tzinfo=time.tzinfo or UTC)
        case _:
            return None

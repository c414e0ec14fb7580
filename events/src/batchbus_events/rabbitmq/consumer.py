"""A consumer on RabbitMQ, its deliveries, and the supervisor that rebuilds its channel when that is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from batchbus_events.bus import Bus, BusError, Handler
from batchbus_events.rabbitmq.connection import (
    ANSWER_SECONDS,
    Background,
    Link,
    Wire,
    bus_errors,
    close_quietly,
    declare_queue,
    keep_up,
    wire_of,
)
from batchbus_events.rabbitmq.messages import received
from batchbus_events.tasks import end
from batchbus_events.topics import HELD_QUEUE, Queue

__all__ = ["Consumer"]

_logger = logging.getLogger(__name__)


class Consumer:
    """A `bus.Consumer`: a channel of its own on `link`, under a supervisor that rebuilds it."""

    def __init__(
        self,
        bus: Bus,
        link: Link,
        background: Background,
        queue: Queue,
        handler: Handler,
        *,
        prefetch: int,
        on_rebuilt: Callable[[], None] | None,
        on_closed: Callable[[Consumer], None],
    ) -> None:
        """`on_rebuilt`: as in `Bus.consume`. `on_closed` is called once, when the consumer takes no more."""
        self.bus = bus
        self._link = link
        self._background = background
        self._on_closed = on_closed
        self.wire: Wire | None = None
        """Where deliveries are answered; those of an earlier one no longer count, as the broker has them back."""
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._on_rebuilt = on_rebuilt
        self._channel: AbstractChannel | None = None
        self._tag: str | None = None
        self._paused = False
        self._one_at_a_time = asyncio.Lock()
        self._lost = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._build()
        self._supervisor = asyncio.create_task(keep_up(self._queue.name, self._lost, self._rebuild))

    async def pause(self) -> None:
        async with self._one_at_a_time:
            self._paused = True
            await self._stop_taking()

    async def resume(self) -> None:
        async with self._one_at_a_time:
            if self._paused and not self._lost.is_set():
                try:
                    await self._take()
                except BusError:
                    self._lost.set()  # and the supervisor sees to it
            self._paused = False

    async def close(self) -> None:
        if self._supervisor is None:
            return
        supervisor, self._supervisor = self._supervisor, None
        await end(supervisor)
        self._on_closed(self)
        async with self._one_at_a_time:
            await self._stop_taking()
        while others := self._running - {asyncio.current_task()}:
            await asyncio.wait(others)
        if self.wire is not None and self._queue.exclusive and not self._lost.is_set():
            with suppress(BusError), bus_errors(f"{self._queue.name} could not be deleted"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.wire.queue_delete(self._queue.name)
        if self._lost.is_set():
            self._give_up_channel()
        else:
            channel, self._channel, self.wire = self._channel, None, None
            await close_quietly(channel)

    async def bind(self) -> None:
        """Declare the queue and its bindings anew, on the channel that consumes it: what is wrong there ends it."""
        async with self._one_at_a_time:
            if self._channel is not None and not self._lost.is_set():
                await declare_queue(self._channel, self._queue)

    async def _rebuild(self) -> None:
        await self._link.connection()
        async with self._one_at_a_time:
            await self._build()
        if self._on_rebuilt is not None:
            self._on_rebuilt()

    async def _build(self) -> None:
        self._give_up_channel()
        try:
            with bus_errors(f"{self._queue.name} cannot be consumed"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    connection = await self._link.connection()
                    self._channel = await connection.channel(publisher_confirms=False)
                    self.wire = wire = await wire_of(self._channel)
                    self._lost.clear()
                    wire.closing.add_done_callback(partial(self._on_lost, wire))
                    wire.on_consumer_cancel_callbacks.add(partial(self._on_lost, wire))
                    await declare_queue(self._channel, self._queue)
                    await self._channel.set_qos(self._prefetch)
            if not self._paused:
                await self._take()
        except BaseException:
            self._give_up_channel()
            self._lost.set()
            raise

    def _give_up_channel(self) -> None:
        channel, self._channel, self.wire, self._tag = self._channel, None, None, None
        if channel is not None:
            self._background.close(channel)

    async def _take(self) -> None:
        assert self.wire is not None
        with bus_errors(f"{self._queue.name} cannot be consumed"):
            async with asyncio.timeout(ANSWER_SECONDS):
                self._tag = (await self.wire.basic_consume(self._queue.name, self._on_message)).consumer_tag

    async def _stop_taking(self) -> None:
        tag, self._tag = self._tag, None
        if tag is None or self.wire is None or self._lost.is_set():
            return
        try:
            with bus_errors(f"{self._queue.name} is consumed still"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.wire.basic_cancel(tag)
        except BusError:
            self._lost.set()

    def _on_lost(self, wire: Wire, _: object) -> None:
        if wire is self.wire:
            _logger.info("the consumer of %s was lost", self._queue.name)
            self._lost.set()

    async def _on_message(self, message: DeliveredMessage) -> None:
        # A task of our own: the one that we are called in is cancelled when the channel closes.
        task = asyncio.get_running_loop().create_task(self._handle(_Delivery(self, message)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _handle(self, delivery: _Delivery) -> None:
        try:
            await self._handler(delivery)
        except Exception:
            # By contract the delivery stays open.
            _logger.exception("the handler of %s failed on %s", self._queue.name, delivery.message.routing_key)


class _Delivery:
    """A `Delivery`, answered on the channel that it came from."""

    __slots__ = ("_consumer", "_open", "_tag", "_wire", "message", "redelivered")

    def __init__(self, consumer: Consumer, message: DeliveredMessage) -> None:
        self.message = received(message, consumer.bus.user)
        self.redelivered = bool(message.redelivered)
        assert isinstance(message.channel, Wire)
        self._wire = message.channel
        self._tag = message.delivery_tag or 0
        self._consumer = consumer
        self._open = True

    async def ack(self) -> None:
        await self._answer(self._wire.basic_ack)

    async def requeue(self) -> None:
        await self._answer(self._wire.basic_reject)

    async def hold(self) -> None:
        held = self.message.held(datetime.now(UTC))
        await self._consumer.bus.publish("", held.addressed(HELD_QUEUE.name), mandatory=True)
        await self.ack()

    async def _answer(self, answer: Callable[..., Awaitable[None]]) -> None:
        # The broker closes the connection over an answer on a channel that is closed or closing.
        if not self._open or self._consumer.wire is not self._wire:
            return
        self._open = False
        # An answer that does not get through leaves the message with the broker, which delivers it again.
        with suppress(BusError), bus_errors("a delivery could not be answered"):
            async with asyncio.timeout(ANSWER_SECONDS):
                await answer(self._tag, wait=False)

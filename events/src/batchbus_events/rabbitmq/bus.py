"""The Bus on RabbitMQ.

aio-pika keeps two plain connections, one to publish and one to consume, each under a supervisor that rebuilds
everything when it is lost. What goes over them once for every message uses the channel beneath aio-pika's own
(`get_underlay_channel`), which carries twice as many messages a second: one publish does not wait until the
one before it is on the wire, and no aio-pika message is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Final

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelLockedResource
from pamqp.commands import Basic
from yarl import URL

from batchbus_events.bus import BusError, BusUnavailable, Handler, LogGap, Message, QueueState
from batchbus_events.rabbitmq.connection import (
    ANSWER_SECONDS,
    Background,
    Link,
    Wire,
    bus_errors,
    close_quietly,
    declare_queue,
    declare_topology,
    missing_topology,
    wire_of,
)
from batchbus_events.rabbitmq.consumer import Consumer
from batchbus_events.rabbitmq.log import LogReader
from batchbus_events.rabbitmq.time import broker_time
from batchbus_events.tasks import end
from batchbus_events.topics import Queue

__all__ = ["RabbitBus"]

_logger = logging.getLogger(__name__)

_DECLARE_EVERY: Final = 6
"""Of so many looks at the topology one declares all of it; each binds the queues that are consumed here."""
_LARGE_BODY: Final = 65_536
"""From this size on a publish waits until it is on the wire, so that a few large messages cannot fill the memory."""


class RabbitBus:
    """A `Bus` on RabbitMQ. Open it with `async with RabbitBus.open(url) as bus`."""

    def __init__(self, url: URL, *, name: str, declare: bool, publish_timeout: float, look_every: float) -> None:
        self.user = _user_of(url)
        self._background = Background()
        self._consuming = Link(url, f"{name}: consume", None)
        self._publishing = Link(url, f"{name}: publish", declare_topology if declare else None)
        self._publish_timeout = publish_timeout
        self._channel: AbstractChannel | None = None
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()
        self._consumers: set[Consumer] = set()
        self._declare = declare
        self._look_every = look_every
        self._looking: asyncio.Task[None] | None = None
        self._silent = False
        """Whether the broker has not answered lately, although the connections seem to be there."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        name: str = "batchbus",
        declare: bool = True,
        publish_timeout: float = 10.0,
        look_every: float = 10.0,
    ) -> AsyncIterator[RabbitBus]:
        """Connect to `amqp://` or `amqps://`, and declare every exchange and shared queue unless `declare` is False.

        What is declared is looked after: every `look_every` seconds it is seen whether all of it is there still.
        `name` is what operators see in the broker's list of connections; `publish_timeout`, in seconds, covers the
        wait for a connection and that for the confirm. Raises: `BusUnavailable`, `TopologyMismatch`.
        """
        address = URL(url)
        if address.scheme not in ("amqp", "amqps"):
            raise ValueError("the address of RabbitMQ begins with amqp:// or amqps://")
        bus = cls(address, name=name, declare=declare, publish_timeout=publish_timeout, look_every=look_every)
        try:
            await bus._publishing.start()
            await bus._consuming.start()
            bus._looking = asyncio.get_running_loop().create_task(bus._keep_looking())
            yield bus
        finally:
            await bus._close()

    @property
    def vouches(self) -> bool:
        return True

    @property
    def connected(self) -> bool:
        return self._publishing.up and self._consuming.up and not self._silent

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        await self._publish_on(None, exchange, message, mandatory=mandatory)

    async def publish_all(self, exchange: str, messages: Sequence[Message]) -> tuple[int, BusError | None]:
        try:
            with bus_errors(_not_published(messages[0])):
                async with asyncio.timeout(self._publish_timeout):
                    wire = await self._publish_wire()
        except BusError as error:
            return 0, error

        async def published(message: Message) -> BusError | None:
            try:
                await self._publish_on(wire, exchange, message)
            except BusError as error:
                return error
            return None

        # All on one channel: when it is lost, none of them can overtake another on a new one.
        errors = await asyncio.gather(*map(published, messages))
        failed = next((number for number, error in enumerate(errors) if error), None)
        return (len(messages), None) if failed is None else (failed, errors[failed])

    async def _publish_on(self, wire: Wire | None, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        """On that channel, or if it is None on the one that there is."""
        properties = Basic.Properties(
            content_type=message.content_type,
            headers=dict(message.headers),
            delivery_mode=2,
            message_id=message.message_id,
            user_id=self.user,
        )
        try:
            with bus_errors(_not_published(message)):
                async with asyncio.timeout(self._publish_timeout):
                    wire = wire or await self._publish_wire()
                    await wire.basic_publish(
                        message.body,
                        exchange=exchange,
                        routing_key=message.routing_key,
                        properties=properties,
                        mandatory=mandatory,
                        wait=len(message.body) >= _LARGE_BODY,
                    )
        except BusUnavailable:
            # Whether the channel still works is unknown; a confirm that comes late must not be taken for another's.
            if wire is not None and wire is self._wire and self._channel is not None:
                self._background.close(self._channel)
                self._channel = self._wire = None
            raise

    async def consume(
        self, queue: Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> Consumer:
        consumer = Consumer(
            self,
            self._consuming,
            self._background,
            queue,
            handler,
            prefetch=prefetch,
            on_rebuilt=on_rebuilt,
            on_closed=self._consumers.discard,
        )
        await consumer.start()
        self._consumers.add(consumer)
        return consumer

    def read_log(self, *, since: datetime | None = None) -> AsyncIterator[Message]:
        """See `Bus.read_log` and `rabbitmq.log`."""
        return LogReader(self, self._consuming, self._background).read(since)

    def tail_log(self, *, since: datetime | None = None) -> AsyncGenerator[Message | LogGap, None]:
        """See `Bus.tail_log` and `rabbitmq.log`."""
        return LogReader(self, self._consuming, self._background).tail(since)

    async def declare(self, queue: Queue) -> None:
        with bus_errors(f"{queue.name} cannot be declared"):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._consuming.connection()
                channel = await connection.channel(publisher_confirms=False)
                try:
                    await declare_queue(channel, queue)
                finally:
                    self._background.close(channel)

    async def inspect(self, queue: str) -> QueueState | None:
        with bus_errors(f"{queue} could not be inspected"):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._consuming.connection()
                channel = await connection.channel(publisher_confirms=False)
                try:
                    declared = (await channel.declare_queue(queue, passive=True)).declaration_result
                except ChannelNotFoundEntity:
                    return None
                except ChannelLockedResource:
                    return QueueState(None, None)
                finally:
                    self._background.close(channel)
        return QueueState(declared.message_count or 0, declared.consumer_count or 0)

    async def missing(self) -> list[str]:
        """Which exchanges and shared queues are not there, in words. Raises: `BusUnavailable`."""
        with bus_errors("the topology could not be looked at"):
            async with asyncio.timeout(ANSWER_SECONDS):
                return await missing_topology(await self._consuming.connection())

    async def ping(self) -> None:
        """Ask the broker for next to nothing, to see that it answers. Raises: `BusUnavailable`."""
        with bus_errors("the broker could not be asked"):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._consuming.connection()
                await close_quietly(await connection.channel(publisher_confirms=False))

    async def time(self) -> datetime | None:
        """The time of day where the broker runs, aware, cut to seconds; None if the broker does not tell.

        Raises: `BusUnavailable`.
        """
        with bus_errors("the broker could not be asked for its time"):
            return await broker_time(await self._consuming.connection(), self.user)

    async def restore(self) -> None:
        """Declare all that is to be there, with its bindings. Raises: `TopologyMismatch`, `BusUnavailable`."""
        with bus_errors("the topology cannot be declared"):
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._declare:
                    await declare_topology(await self._consuming.connection())
                await self._bind()

    async def _bind(self) -> None:
        """Have the queues that are consumed here, and their bindings, if a broker is connected."""
        with bus_errors("queues cannot be bound"):
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(*(consumer.bind() for consumer in list(self._consumers)))

    async def _keep_looking(self) -> None:
        """Declare anew what was deleted from the broker, and notice when the broker does not answer.

        A client that declares nothing does not ask for what there is, either: that is for the service to look after.
        """
        for round_ in count(1):
            await asyncio.sleep(self._look_every)
            try:
                missing: list[str] = []
                if self._consuming.up:
                    if self._declare:
                        missing = await self.missing()
                    else:
                        await self.ping()
                if missing:
                    _logger.warning("gone from the broker, and declared anew: %s", ", ".join(missing))
                # That a binding is gone cannot be seen, as when another process was faster to declare an exchange anew;
                # declaring one that is there changes nothing.
                await (self.restore() if missing or round_ % _DECLARE_EVERY == 0 else self._bind())
                self._silent = False
            except Exception as error:
                # A connection that is known to be lost is another matter: it is back as soon as it is back. And what is
                # refused, as for an exchange that goes in this moment, is an answer.
                unanswered = isinstance(error.__cause__, TimeoutError)
                self._silent = unanswered and self._publishing.up and self._consuming.up
                _logger.warning("%s", error, exc_info=not isinstance(error, BusError))

    async def _publish_wire(self) -> Wire:
        if self._wire is not None and not self._wire.is_closed:
            return self._wire
        async with self._opening:
            if self._wire is None or self._wire.is_closed:
                connection = await self._publishing.connection()
                self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                self._wire = await wire_of(self._channel)
            return self._wire

    async def _close(self) -> None:
        if self._looking is not None:
            await end(self._looking)
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        await asyncio.gather(self._publishing.close(), self._consuming.close())
        await self._background.finish()


def _not_published(message: Message) -> str:
    return f"{message.routing_key} could not be published"


def _user_of(url: URL) -> str | None:
    """The user that the broker takes us for. With a client certificate (`auth=external`) it is known only if the address says so."""
    if url.query.get("auth", "").lower() == "external":
        return url.user
    return url.user or "guest"

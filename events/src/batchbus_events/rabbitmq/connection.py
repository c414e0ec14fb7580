"""Connections to RabbitMQ: kept up, closed in the background, their topology declared, their errors in words."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from operator import methodcaller
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from aiormq.channel import Channel as Wire
from aiormq.exceptions import InvalidFrameError
from yarl import URL

from batchbus_events import topics
from batchbus_events.backoff import Backoff
from batchbus_events.bus import BusError, BusUnavailable, PublishRefused, TopologyMismatch, Unroutable, VhostUnavailable
from batchbus_events.tasks import end
from batchbus_events.topics import Queue

__all__ = [
    "ANSWER_SECONDS",
    "Background",
    "Link",
    "Wire",
    "bus_errors",
    "close_quietly",
    "declare_queue",
    "declare_topology",
    "keep_up",
    "missing_topology",
    "wire_of",
]

_logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
"""How long the broker may take to answer anything but a publish."""
_OPENED: Final = "Connection.OpenOk"
_HEARTBEAT_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 5.0


class Link:
    """One connection, kept up: connect, prepare, wait until it is lost, back off, begin again."""

    def __init__(self, url: URL, name: str, prepare: Callable[[AbstractConnection], Awaitable[None]] | None) -> None:
        self._url = url if "heartbeat" in url.query else url.update_query(heartbeat=_HEARTBEAT_SECONDS)
        self._name = name
        self._prepare = prepare
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return self._up.is_set()

    async def start(self) -> None:
        await self._connect()
        self._supervisor = asyncio.create_task(keep_up(self._name, self._lost, self._connect))

    async def connection(self) -> AbstractConnection:
        """The connection, as soon as there is one."""
        await self._up.wait()
        assert self._connection is not None
        return self._connection

    async def close(self) -> None:
        if self._supervisor is not None:
            await end(self._supervisor)
        self._up.clear()
        await close_quietly(self._connection)

    async def _connect(self) -> None:
        shown = self._url.with_password(None).with_query(None)
        with bus_errors(f"RabbitMQ at {shown} cannot be used"):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await self._opened()
                try:
                    if self._prepare is not None:
                        await self._prepare(connection)
                except BaseException:
                    await close_quietly(connection)
                    raise
        assert connection.transport is not None
        self._connection = connection
        self._lost.clear()
        self._up.set()
        connection.transport.connection.closing.add_done_callback(self._on_closing)

    async def _opened(self) -> AbstractConnection:
        try:
            return await aio_pika.connect(self._url, client_properties={"connection_name": self._name})
        except InvalidFrameError as error:
            # The broker has closed the connection instead of opening the virtual host. aiormq does not hand on why.
            if _OPENED not in str(error):
                raise
            vhost, user = self._url.path.removeprefix("/") or "/", self._url.user or "guest"
            raise VhostUnavailable(vhost, user) from error

    def _on_closing(self, _: asyncio.Future[None]) -> None:
        self._up.clear()
        self._lost.set()


async def wire_of(channel: AbstractChannel) -> Wire:
    """The channel beneath aio-pika's."""
    wire = await channel.get_underlay_channel()
    assert isinstance(wire, Wire)
    return wire


async def declare_topology(connection: AbstractConnection) -> None:
    async with connection.channel(publisher_confirms=False) as channel:
        for exchange in topics.EXCHANGES:
            await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
        for queue in topics.shared_queues():
            await declare_queue(channel, queue)


async def missing_topology(connection: AbstractConnection) -> list[str]:
    """Which of the exchanges and shared queues there are none of. Nothing is declared."""
    asked: list[tuple[str, Callable[[AbstractChannel], Awaitable[object]]]] = [
        *(
            (f"exchange {each.name}", methodcaller("declare_exchange", each.name, passive=True))
            for each in topics.EXCHANGES
        ),
        *(
            (f"queue {each.name}", methodcaller("declare_queue", each.name, passive=True))
            for each in topics.shared_queues()
        ),
    ]
    missing: list[str] = []
    channel = await connection.channel(publisher_confirms=False)
    try:
        for name, find in asked:
            try:
                await find(channel)
            except ChannelNotFoundEntity:
                missing.append(name)
                channel = await connection.channel(publisher_confirms=False)  # the broker has closed the last one
    finally:
        await close_quietly(channel)
    return missing


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    for exchange in queue.exchanges:
        await channel.declare_exchange(exchange.name, exchange.kind, durable=queue.durable)
    declared = await channel.declare_queue(
        queue.name, durable=queue.durable, exclusive=queue.exclusive, arguments=dict(queue.arguments)
    )
    for binding in queue.bindings:
        await declared.bind(binding.exchange, binding.pattern)


class Background:
    """Closes channels without making anyone wait for it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, channel: AbstractChannel) -> None:
        task = asyncio.get_running_loop().create_task(close_quietly(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)


async def keep_up(name: str, lost: asyncio.Event, rebuild: Callable[[], Awaitable[None]]) -> None:
    """Build something anew whenever it is lost, until it works, with pauses between the tries; for ever.

    `rebuild` clears `lost`. What it raises is logged; an error that is none of the bus is logged in full.
    """
    backoff = Backoff()
    while True:
        await lost.wait()
        try:
            await backoff.wait()
            await rebuild()
        except Exception as error:
            _logger.warning("%s: %s", name, error, exc_info=not isinstance(error, BusError))


async def close_quietly(closable: AbstractChannel | AbstractConnection | None) -> None:
    if closable is not None:
        with suppress(BusError), bus_errors("could not be closed"):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closable.close()


@contextmanager
def bus_errors(what: str) -> Iterator[None]:
    """Everything that aio-pika and what is beneath it raise, as a `BusError` that begins with `what`."""
    try:
        yield
    except PublishError as error:
        raise Unroutable(f"{what}: no queue is bound for it") from error
    except DeliveryError as error:
        raise PublishRefused(
            f"{what}: the broker refused it; a queue that it is bound to is full, or has no leader at the moment"
        ) from error
    except ChannelPreconditionFailed as error:
        raise _mismatch(str(error)) or BusUnavailable(f"{what}: {error}") from error
    except TimeoutError as error:
        raise BusUnavailable(f"{what}: no answer in time") from error
    except CONNECTION_EXCEPTIONS as error:
        raise BusUnavailable(f"{what}: {str(error) or type(error).__name__}") from error
    except asyncio.CancelledError as error:
        # aiormq cancels what waits for a connection that is lost. A cancellation of ours is another matter.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BusUnavailable(f"{what}: the connection was lost") from error


_INEQUIVALENT: Final = "inequivalent arg '"
_DIFFERENCE: Final = re.compile(
    r"(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)' in vhost '(?P<vhost>[^']*)': "
    r"received (?P<ours>.+) but current is (?P<theirs>.+)"
)


def _mismatch(reply: str) -> TopologyMismatch | None:
    found = _DIFFERENCE.match(reply.partition(_INEQUIVALENT)[2])
    if found is None:
        return None
    kind, name, vhost = found["kind"], found["name"], found["vhost"]
    if kind == "queue":
        migrate = (
            f"Stop what publishes to it, let its consumers empty it (rabbitmqctl list_queues -p {vhost} name messages), "
            f"then delete it (rabbitmqctl delete_queue -p {vhost} {name})"
        )
    else:
        migrate = f"Delete it (rabbitmqadmin --vhost={vhost} delete exchange name={name})"
    return TopologyMismatch(
        f"The {kind} {name} exists with another {found['argument']}: {found['theirs']}, where batchbus declares "
        f"{found['ours']}. RabbitMQ cannot change that in place. {migrate} and start batchbus again, which declares it anew."
    )

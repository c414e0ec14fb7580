"""Exchanges and queues of a real broker that are not what batchbus declares, or that somebody deletes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import aio_pika
import pytest
from yarl import URL

from batchbus_events import topics
from batchbus_events.bus import (
    BusUnavailable,
    Message,
    TopologyMismatch,
)
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.rabbitmq import bus as bus_module
from batchbus_events.topics import Queue
from tests.events.conftest import message
from tests.events.inbox import Inbox
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode


async def test_another_queue_of_the_same_name_is_reported_in_words_with_the_way_out(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_queue(topics.PARKED_QUEUE.name, durable=True)
        with pytest.raises(TopologyMismatch) as raised:
            async with RabbitBus.open(url):
                pass

    words = str(raised.value)
    assert "The queue batchbus.parked exists with another x-queue-type" in words
    assert "quorum" in words
    assert f"rabbitmqctl delete_queue -p {URL(url).path.removeprefix('/')} batchbus.parked" in words


async def test_another_exchange_of_the_same_name_is_reported_in_words_with_the_way_out(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_exchange(topics.EVENTS, "direct", durable=True)
        with pytest.raises(TopologyMismatch, match=r"exchange batch\.events .*rabbitmqadmin .*delete exchange"):
            async with RabbitBus.open(url):
                pass


async def test_consuming_another_queue_of_the_same_name_is_refused(url: str, shared: Queue) -> None:
    async with RabbitBus.open(url) as bus:
        await bus.consume(shared, Inbox(), prefetch=1)

        with pytest.raises(TopologyMismatch, match="x-max-length"):
            await bus.consume(replace(shared, arguments={**shared.arguments, "x-max-length": 5}), Inbox(), prefetch=1)


async def test_publishing_where_nothing_is_declared_says_what_is_missing_and_works_once_it_is_there(url: str) -> None:
    async with RabbitBus.open(url, declare=False) as client:
        with pytest.raises(BusUnavailable, match=r"no exchange 'batch\.triggers'"):
            await client.publish(topics.TRIGGERS, message(key="batch.created"))

        async with RabbitBus.open(url):
            await client.publish(topics.TRIGGERS, message(key="batch.created"), mandatory=True)


async def _published_until_it_arrives(bus: RabbitBus, what: Message, inbox: Inbox) -> None:
    """A queue that is not bound yet does not get it, though the log may have it already."""
    async with asyncio.timeout(PATIENCE):
        while inbox.empty:
            with suppress(BusUnavailable):
                await bus.publish(topics.EVENTS, what)
            await asyncio.sleep(0.05)  # bindings are back without a signal: tried again


async def test_what_somebody_deletes_from_the_broker_is_declared_anew_with_its_bindings(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    async with RabbitBus.open(url, look_every=0.1) as bus:
        await bus.consume(topics.worker_queue("one"), inbox, prefetch=10)
        assert await bus.missing() == []
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            for exchange in (topics.TRIGGERS, topics.EVENTS):
                await channel.exchange_delete(exchange)
            for queue in (topics.LOG_QUEUE, topics.TRIGGERS_QUEUE):
                await channel.queue_delete(queue.name)
        await _published_until_it_arrives(bus, message(b"canceled", "batch.canceled.noop.batch_1"), inbox)
        async with asyncio.timeout(PATIENCE):
            while await bus.missing():  # noqa: ASYNC110 - the port has no signal for it
                await asyncio.sleep(0.05)  # asked again
        await bus.publish(topics.TRIGGERS, message(b"trigger", "batch.created"), mandatory=True)
    assert "exchange batch.events" in caplog.text


class _Looks:
    """Counts how often the bus has looked at the topology, or only whether the broker is there, by `ping`."""

    def __init__(self, bus: RabbitBus, monkeypatch: pytest.MonkeyPatch, method: str = "missing") -> None:
        self.count = 0
        self._look: Callable[[], Awaitable[object]] = getattr(bus, method)
        self._looked = asyncio.Event()
        monkeypatch.setattr(bus, method, self._counted)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.count < count:
                self._looked.clear()
                await self._looked.wait()

    async def _counted(self) -> object:
        found = await self._look()
        self.count += 1
        self._looked.set()
        return found


async def test_who_finds_everything_there_again_binds_its_own_queues_all_the_same(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was faster: the exchange is there, and no queue of this process is bound to it."""
    inbox = Inbox()
    async with RabbitBus.open(url) as faster, RabbitBus.open(url, look_every=1.0) as bus:
        await bus.consume(topics.worker_queue("one"), inbox, prefetch=10)
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            await channel.exchange_delete(topics.EVENTS)
        await faster.restore()
        looks = _Looks(bus, monkeypatch)
        await _published_until_it_arrives(bus, message(b"canceled", "batch.canceled.noop.batch_1"), inbox)
        assert looks.count < 5, "only one of several looks declares everything anew"


async def test_who_declares_nothing_asks_for_nothing_but_an_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RabbitBus.open(url, declare=False, look_every=0.05) as bus:
        missing = await bus.missing()
        assert {"exchange batch.triggers", "queue batchbus.log"} < set(missing)
        topology = _Looks(bus, monkeypatch)
        await _Looks(bus, monkeypatch, "ping").until(8)
        assert topology.count == 0
        assert await bus.missing() == missing


async def test_a_client_that_declares_nothing_notices_a_broker_that_does_not_answer(
    rabbit_node: RabbitNode, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "ANSWER_SECONDS", 1.0)
    async with RabbitBus.open(url, declare=False, look_every=0.1) as bus:
        rabbit_node.pause()
        try:
            async with asyncio.timeout(PATIENCE):
                while bus.connected:  # noqa: ASYNC110 - the port has no signal for it
                    await asyncio.sleep(0.05)  # asked again
        finally:
            rabbit_node.resume()

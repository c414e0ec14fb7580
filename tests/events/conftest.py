"""The buses that the contract suites run against, and messages to try them with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, Message
from batchbus_events.client import Client
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.topics import Binding, Queue
from tests.rabbitmq_node import RabbitNode


@dataclass(frozen=True)
class Features:
    """What a bus cannot do, or does otherwise."""

    vouches_for_publishers: bool
    """Whether a delivery says who published it."""
    waits_until_triggers_are_acknowledged: bool
    """Whether publishing a trigger returns only when a consumer has dealt with it."""


@dataclass(frozen=True)
class Setup:
    bus: Bus
    features: Features


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[Setup]:
    async with MemoryBus() as bus:
        yield Setup(bus, Features(vouches_for_publishers=False, waits_until_triggers_are_acknowledged=True))


def rabbitmq(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Setup]:
    return _rabbitmq(request.getfixturevalue("amqp_vhost_url"))


@asynccontextmanager
async def _rabbitmq(url: str) -> AsyncIterator[Setup]:
    async with RabbitBus.open(url) as bus:
        yield Setup(bus, Features(vouches_for_publishers=True, waits_until_triggers_are_acknowledged=False))


@pytest.fixture(params=[memory, pytest.param(rabbitmq, marks=pytest.mark.rabbitmq)], ids=lambda param: param.__name__)
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Setup]:
    made: AbstractAsyncContextManager[Setup] = request.param(request)
    return made


@pytest.fixture
async def setup(opening: AbstractAsyncContextManager[Setup]) -> AsyncIterator[Setup]:
    async with opening as made:
        yield made


@pytest.fixture
def bus(setup: Setup) -> Bus:
    return setup.bus


@pytest.fixture
def url(rabbit_node: RabbitNode) -> str:
    """An empty virtual host of a broker that the test may break."""
    return rabbit_node.fresh_vhost()


@pytest.fixture
def client(bus: Bus) -> Client:
    """A service that subscribes."""
    return Client(bus, source="billing")


def message(body: bytes = b"{}", key: str = "batch.completed.tests.1") -> Message:
    return Message(body=body, routing_key=key, message_id=new_job_id())


def subscription(name: str = "tests.subscription", pattern: str = "batch.#") -> Queue:
    return Queue(name=name, bindings=(Binding(topics.EVENTS, pattern),), durable=False, exclusive=True)


@pytest.fixture
def shared() -> Queue:
    """A durable queue of the test's own, which the broker deletes when nobody has used it for a while."""
    return Queue(
        name=f"tests.{new_ulid()}",
        bindings=(Binding(topics.EVENTS, "batch.#"),),
        arguments={"x-queue-type": "quorum", "x-expires": 60_000},
    )


async def trigger(bus: Bus, body: bytes) -> asyncio.Task[None]:
    """Publish a trigger without waiting for whoever deals with it."""
    publishing = asyncio.create_task(bus.publish(topics.TRIGGERS, message(body, "batch.created")))
    await asyncio.sleep(0)  # one turn of the loop: the publishing has begun
    return publishing

"""A database with a past, a bus of either kind, and players that replay the one over the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_events.bus import Bus, Delivery
from batchbus_events.event import Event, decode
from batchbus_events.ids import new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.topics import Queue
from batchbus_service.domain.replay import Replay, State
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.storage.clock import ServerClock
from batchbus_service.storage.mongo.histories import MongoHistoryReader
from batchbus_service.storage.mongo.replays import MongoReplayStore
from batchbus_service.storage.mongo.server import MongoServer
from tests.operations.replay.histories import finished_jobs
from tests.patience import PATIENCE

OLGA = "olga@example.com"
EVERYTHING = Selection()


@dataclass
class Stage:
    """Where a replay is planned and played."""

    database: AsyncIOMotorDatabase[dict[str, Any]]
    bus: Bus
    clock: ServerClock
    folder: Path

    async def replayer(
        self, worker: str = "one", claim: timedelta = timedelta(seconds=15), bus: Bus | None = None
    ) -> Replayer:
        return Replayer(
            MongoReplayStore(self.database),
            MongoHistoryReader(self.database),
            bus or self.bus,
            self.clock,
            worker=worker,
            folder=self.folder,
            claim=claim,
            log=structlog.get_logger(),
        )

    @asynccontextmanager
    async def playing(self, worker: str = "one", **more: Any) -> AsyncIterator[Replayer]:
        replayer = await self.replayer(worker, **more)
        await replayer.start()
        try:
            yield replayer
        finally:
            await replayer.close()

    async def plan(
        self, replayer: Replayer, queue: str | None, selection: Selection = EVERYTHING, **more: Any
    ) -> Replay:
        now = self.clock.now()
        destination = Destination(queue=queue) if queue else Destination(exchange="batch.events")
        replay = Replay(
            id=f"replay_{new_ulid()}",
            selection=selection.up_to(now),
            destination=destination,
            reason="the subscriber lost its database",
            created_by=OLGA,
            created_at=now,
            **more,
        )
        await replayer.replays.insert(replay)
        replayer.look()
        return await replayer.until(replay.id, lambda known: known.state is not State.PLANNING, PATIENCE)

    async def run(self, replayer: Replayer, replay: Replay, **more: Any) -> None:
        running = replay.run(OLGA, self.clock.now(), confirm=True, **more)
        assert await replayer.replays.change(replay, running)
        replayer.look()

    async def until(self, replayer: Replayer, replay: Replay, state: State) -> Replay:
        known = await replayer.until(replay.id, lambda known: known.state is state, PATIENCE)
        assert known.state is state, known
        return known


@dataclass
class Subscriber:
    """Takes what arrives in a queue of its own, and keeps it."""

    queue: Queue
    events: list[Event] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, delivery: Delivery) -> None:
        self.events.append(decode(delivery.message.body))
        self.keys.append(delivery.message.routing_key)
        self._more.set()
        await delivery.ack()

    async def got(self, number: int) -> list[Event]:
        """The first so many events."""
        await self._until(lambda: len(self.events) >= number)
        return self.events[:number]

    async def got_different(self, number: int) -> list[Event]:
        """Everything that has come by the time that so many different events have."""
        await self._until(lambda: len({event.id for event in self.events}) >= number)
        return self.events

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not reached():
                self._more.clear()
                await self._more.wait()


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Bus]:
    return MemoryBus() if request.param == "memory" else RabbitBus.open(request.getfixturevalue("amqp_vhost_url"))


@pytest.fixture
async def bus(opening: AbstractAsyncContextManager[Bus]) -> AsyncIterator[Bus]:
    async with opening as opened:
        yield opened


@pytest.fixture
async def stage(mongo_url: str, tmp_path: Path, bus: Bus) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url, tz_aware=True, tzinfo=UTC)
        stack.callback(client.close)
        database = client[f"replay_{new_ulid().lower()}"]
        stack.push_async_callback(client.drop_database, database.name)
        clock = ServerClock(MongoServer(database), structlog.get_logger())
        await clock.measure()
        yield Stage(database, bus, clock, tmp_path)


@pytest.fixture
async def past(stage: Stage) -> int:
    """Two hundred jobs that overlap in time, with five events each. Returns how many events that is."""
    await stage.database["jobs"].insert_many(list(finished_jobs(200)))
    return 1000


@pytest.fixture
async def subscriber(bus: Bus) -> Subscriber:
    subscriber = Subscriber(Queue(name=f"tests.{new_ulid()}", durable=False, exclusive=True))
    await bus.consume(subscriber.queue, subscriber, prefetch=100)
    return subscriber

"""Replay: events published per second, beside bare aio-pika; and the memory of the process that reads the histories.

Bare aio-pika publishes the very messages that the replay has published, to the same kind of queue, as many side by side.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from itertools import islice
from typing import Final

import aio_pika
import structlog

from batchbus_events.bus import Message, QueueState
from batchbus_events.ids import new_ulid
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.topics import Queue
from batchbus_service.domain.ports import ReplayStore
from batchbus_service.domain.replay import MAX_RATE, Replay, State
from batchbus_service.domain.selection import Selection
from batchbus_service.operations.replay.replay_attempt import BATCH
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.storage.clock import ServerClock
from batchbus_service.storage.mongo.histories import MongoHistoryReader
from batchbus_service.storage.mongo.replays import MongoReplayStore
from batchbus_service.storage.mongo.server import MongoServer
from tests.benchmarks.ground import Ground, peak_memory
from tests.engine.installation import Installation
from tests.operations.replay.asking import planned, reaching
from tests.operations.replay.histories import finished_jobs

__all__ = ["run"]

JOBS: Final = 4_000
FEW: Final = 10_000
MANY: Final = 200_000
MANY_ON_MONGODB: Final = 1_000_000
_PATIENCE: Final = 1800.0


class _Watched:
    """A bus that keeps what is published over it, and when the first and the last message were."""

    def __init__(self, bus: RabbitBus) -> None:
        self._bus = bus
        self.messages: list[Message] = []
        self.first = self.last = 0.0

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        self.first = self.first or time.perf_counter()
        self.messages.append(message)
        await self._bus.publish(exchange, message, mandatory=mandatory)
        self.last = time.perf_counter()

    async def inspect(self, queue: str) -> QueueState | None:
        return await self._bus.inspect(queue)


async def run(ground: Ground) -> None:
    print(f"\nReplay of {JOBS:,} jobs with five events each to a quorum queue, from {ground.database}")
    async with ground.installation() as installation:
        await _fill(installation, JOBS)
        watched = _Watched(installation.bus)
        whole = await _replay(installation, watched)
        events = len(watched.messages)
        replayed = events / (watched.last - watched.first)
        bare = await _bare(ground.amqp_url, await _queue(installation.bus), watched.messages)
        print(f"    bare aio-pika {bare:8,.0f} events/s")
        print(f"    replay        {replayed:8,.0f} events/s   {replayed / bare:4.0%} (aim: 80 % or more)")
        print(f"    with reading and sorting the histories before: {events / whole:,.0f} events/s")
    print("  Memory of the process that reads and sorts, at its peak")
    peaks = []
    for jobs in (FEW, MANY if ground.embedded else MANY_ON_MONGODB):
        async with ground.installation() as installation:
            await _fill(installation, jobs)
            peaks.append(await _peak(installation))
            print(f"    {jobs:9,} histories  {peaks[-1] / 2**20:6.0f} MiB")
    print(f"    growth               {(peaks[1] - peaks[0]) / 2**20:6.0f} MiB")


async def _fill(installation: Installation, jobs: int) -> None:
    await installation.store.prepare()
    documents = finished_jobs(jobs)
    while block := list(islice(documents, 1000)):
        await installation.database["jobs"].insert_many(block)


async def _queue(bus: RabbitBus) -> str:
    queue = Queue(name=f"benchmark.{new_ulid()}", arguments={"x-queue-type": "quorum", "x-expires": 600_000})
    await bus.declare(queue)
    return queue.name


async def _replay(installation: Installation, watched: _Watched) -> float:
    """Seconds from its start to its end."""
    clock = ServerClock(MongoServer(installation.database), structlog.get_logger())
    await clock.measure()
    replayer = Replayer(
        MongoReplayStore(installation.database),
        MongoHistoryReader(installation.database),
        watched,  # type: ignore[arg-type]  # as much of a bus as a replay needs
        clock,
        worker="benchmark",
        folder=installation.folder,
        claim=timedelta(seconds=30),
        log=structlog.get_logger(),
    )
    await replayer.start()
    try:
        replay = await _planned(replayer.replays, await _queue(installation.bus))
        started = time.perf_counter()
        await _start(replayer.replays, replay)
        replayer.look()
        ended = await replayer.until(replay.id, lambda known: known.ended, _PATIENCE)
        assert ended.state is State.COMPLETED, ended
        return time.perf_counter() - started
    finally:
        await replayer.close()


async def _bare(url: str, queue: str, messages: list[Message]) -> float:
    """Messages a second, with their confirms."""
    async with await aio_pika.connect(url) as connection:
        exchange = (await connection.channel(publisher_confirms=True)).default_exchange
        started = time.perf_counter()
        for first in range(0, len(messages), BATCH):
            await asyncio.gather(
                *(exchange.publish(_raw(message), queue) for message in messages[first : first + BATCH])
            )
        return len(messages) / (time.perf_counter() - started)


def _raw(message: Message) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        headers=dict(message.headers),
        content_type=message.content_type,
        message_id=message.message_id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def _peak(installation: Installation) -> int:
    """Of a process that has planned a replay of everything, and has begun to publish it."""
    replays = MongoReplayStore(installation.database)
    async with installation.worker_process(lease_seconds=30, log_level="warning") as process:
        replay = await _planned(replays, await _queue(installation.bus))
        await _start(replays, replay)
        await reaching(replays, replay.id, lambda known: known.published > 0, patience=_PATIENCE)
        return peak_memory(process.pid)


async def _planned(replays: ReplayStore, queue: str) -> Replay:
    return await planned(replays, Selection(), queue, by="benchmark", patience=_PATIENCE, rate=MAX_RATE)


async def _start(replays: ReplayStore, replay: Replay) -> None:
    assert await replays.change(replay, replay.run("benchmark", replay.created_at, confirm=True))

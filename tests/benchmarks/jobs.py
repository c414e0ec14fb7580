"""No-op jobs per second, and the time from publish to `batch.completed`, beside a bare script.

The bare script does what cannot be left out, with no engine around it: for each job the same four writes to the same
indexed collection and the same five confirmed publishes. Both take turns on the same broker and database.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import WriteConcern

from batchbus_events import topics
from batchbus_events.amqp import RabbitBus
from batchbus_events.bus import Delivery, Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service import announce
from batchbus_service.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.stores.document import to_document, update_of
from batchbus_service.stores.mongo import INDEXES

__all__ = ["Rate", "bare_jobs", "engine_jobs"]


@dataclass(frozen=True)
class Rate:
    """Of one measurement: jobs a second, and milliseconds a job takes at the median and the 99th percentile."""

    jobs_per_second: float
    p50: float
    p99: float

    @classmethod
    async def of(cls, one: Callable[[], Awaitable[None]], jobs: int, side_by_side: int) -> Rate:
        """`side_by_side` callers, each of which waits for its job to end before it starts the next."""
        times: list[float] = []
        left = iter(range(jobs))

        async def caller() -> None:
            for _ in left:
                started = time.perf_counter()
                await one()
                times.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(side_by_side)))
        elapsed = time.perf_counter() - started
        cuts = statistics.quantiles(times, n=100)
        return cls(jobs / elapsed, cuts[49] * 1000, cuts[98] * 1000)

    def __str__(self) -> str:
        return f"{self.jobs_per_second:6.1f} jobs/s   p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"


async def bare_jobs(amqp_url: str, mongo_url: str, database: str, jobs: int, side_by_side: int) -> Rate:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url, tz_aware=True, tzinfo=UTC)
    collection = client[database].get_collection("jobs", write_concern=WriteConcern(w="majority", j=True))
    await collection.create_indexes(list(INDEXES))
    decider = Decider(Policy(), new_ulid)
    connection = await RabbitBus.open(amqp_url).__aenter__()  # only to have the exchanges declared
    await connection._close()
    import aio_pika

    amqp = await aio_pika.connect(amqp_url)
    channel = await amqp.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(topics.EVENTS)

    async def one() -> None:
        now = datetime.now(UTC)
        request = NewJob(
            id=new_job_id(), type="noop", context={}, dry_run=False, created_by="bus:/b", request_digest="d" * 64
        )
        created = decider.claim(decider.create(request, now, Cause()), "bare", now)
        going = decider.pre_processed(created, now, Cause(), go_on=True)
        done = decider.completed(going, now, Cause())
        await collection.insert_one(to_document(created))
        await publish(created, created.history)
        await collection.update_one({"_id": created.id, "version": created.version}, update_of(created, going))
        await publish(created, going.history[1:])
        await collection.update_one({"_id": created.id, "version": going.version}, update_of(going, done))
        await publish(created, done.history[4:])
        await collection.update_one({"_id": created.id}, {"$set": {"published": 5}, "$unset": {"wake_at": ""}})

    async def publish(job: Any, entries: Any) -> None:
        for entry in entries:
            message = announce.lifecycle(job, entry)
            await exchange.publish(
                aio_pika.Message(
                    message.body, content_type=message.content_type, message_id=message.message_id, delivery_mode=2
                ),
                message.routing_key,
            )

    try:
        await Rate.of(one, 50, side_by_side)
        return await Rate.of(one, jobs, side_by_side)
    finally:
        await amqp.close()
        client.close()


async def engine_jobs(amqp_url: str, jobs: int, side_by_side: int) -> Rate:
    """Through a worker process that runs already, on the same broker and database."""
    ended: dict[str, asyncio.Future[None]] = {}

    async def completed(delivery: Delivery) -> None:
        await delivery.ack()
        if future := ended.pop(delivery.message.routing_key.rpartition(".")[2], None):
            future.set_result(None)

    async with RabbitBus.open(amqp_url, name="benchmark") as bus:
        mine = topics.Queue(
            name=f"benchmark.{new_ulid()}",
            bindings=(topics.Binding(topics.EVENTS, "batch.completed.#"),),
            durable=False,
            exclusive=True,
        )
        await bus.consume(mine, completed, prefetch=1000)

        async def one() -> None:
            job_id = new_job_id()
            ended[job_id] = asyncio.get_running_loop().create_future()
            event = Event(
                type="batch.created", source="/benchmark", id=new_ulid(), subject=job_id, data={"type": "noop"}
            )
            message = Message(body=encode(event), routing_key="batch.created", message_id=event.id)
            await bus.publish(topics.TRIGGERS, message)
            await (future if (future := ended.get(job_id)) else asyncio.sleep(0))

        await Rate.of(one, 50, side_by_side)
        return await Rate.of(one, jobs, side_by_side)

"""No-op jobs per second, and the time from publish to `batch.completed`, beside a bare script.

The bare script does what cannot be left out, with no engine around it: for each job the same four writes to the same
indexed collection and the same five confirmed publishes. The two take turns on the same broker and database.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aio_pika
from pymongo import WriteConcern

from batchbus_events import topics
from batchbus_events.bus import Delivery
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.domain.job import HistoryEntry, Job
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.journal import messages
from batchbus_service.storage.mongo.document import to_document, update_of
from batchbus_service.storage.mongo.indexes import INDEXES
from tests.benchmarks.ground import Ground
from tests.engine.installation import Installation

__all__ = ["run"]

JOBS: Final = 400
ROUNDS: Final = 3
SIDE_BY_SIDE: Final = (2, 8)
"""Callers, each of which waits for its job to end before it starts the next."""


@dataclass(frozen=True)
class Rate:
    """Of one measurement: jobs a second, and milliseconds a job takes at the median and the 99th percentile."""

    jobs_per_second: float
    p50: float
    p99: float

    @classmethod
    async def of(cls, one: Callable[[], Awaitable[None]], jobs: int, side_by_side: int) -> Rate:
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

    @classmethod
    def median(cls, rates: Sequence[Rate]) -> Rate:
        return cls(
            statistics.median(rate.jobs_per_second for rate in rates),
            statistics.median(rate.p50 for rate in rates),
            statistics.median(rate.p99 for rate in rates),
        )

    def __str__(self) -> str:
        return f"{self.jobs_per_second:6.1f} jobs/s   p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"


async def run(ground: Ground) -> None:
    print(f"\nNo-op jobs, on RabbitMQ and {ground.database} ({ROUNDS} rounds of {JOBS}, medians)")
    async with ground.installation() as installation, AsyncExitStack() as stack:
        await stack.enter_async_context(installation.worker_process(lease_seconds=30, log_level="warning"))
        bare = await stack.enter_async_context(_Bare.open(installation))
        engine = await stack.enter_async_context(_Engine.open(installation))
        for side_by_side in SIDE_BY_SIDE:
            for one in (bare, engine):
                await Rate.of(one, 50, side_by_side)
            rounds = [
                (await Rate.of(bare, JOBS, side_by_side), await Rate.of(engine, JOBS, side_by_side))
                for _ in range(ROUNDS)
            ]
            without, through = (Rate.median(rates) for rates in zip(*rounds, strict=True))
            print(f"  {side_by_side} side by side")
            print(f"    bare script   {without}")
            print(f"    batchbus      {through}")
            rate, p50 = through.jobs_per_second / without.jobs_per_second, through.p50 / without.p50
            print(
                f"    ratio         {rate:6.0%} of its rate (aim: 70 % or more), {p50:.2f} of its p50 (aim: 1.5 or less)"
            )


class _Bare:
    """The four writes and five publishes of a job, and nothing else."""

    def __init__(self, installation: Installation, exchange: aio_pika.abc.AbstractExchange) -> None:
        self._jobs = installation.database.get_collection("bare", write_concern=WriteConcern(w="majority", j=True))
        self._exchange = exchange
        self._decider = Decider(Policy(), new_ulid)

    @classmethod
    @asynccontextmanager
    async def open(cls, installation: Installation) -> AsyncIterator[_Bare]:
        async with await aio_pika.connect(installation.amqp_url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            bare = cls(installation, await channel.get_exchange(topics.EVENTS))
            await bare._jobs.create_indexes(list(INDEXES))
            yield bare

    async def __call__(self) -> None:
        now = datetime.now(UTC)
        request = NewJob(
            id=new_job_id(), type="noop", context={}, dry_run=False, created_by="bus:/b", request_digest="d" * 64
        )
        created = self._decider.claim(self._decider.create(request, now, Cause()), "bare", now)
        going = self._decider.pre_processed(created, now, Cause(), go_on=True)
        done = self._decider.completed(going, now, Cause())
        await self._jobs.insert_one(to_document(created))
        await self._publish(created, created.history)
        await self._jobs.update_one({"_id": created.id, "version": created.version}, update_of(created, going))
        await self._publish(created, going.history[1:])
        await self._jobs.update_one({"_id": created.id, "version": going.version}, update_of(going, done))
        await self._publish(created, done.history[4:])
        await self._jobs.update_one({"_id": created.id}, {"$set": {"published": 5}, "$unset": {"wake_at": ""}})

    async def _publish(self, job: Job, entries: Sequence[HistoryEntry]) -> None:
        for entry in entries:
            message = messages.lifecycle(job, entry)
            await self._exchange.publish(
                aio_pika.Message(
                    message.body,
                    content_type=message.content_type,
                    message_id=message.message_id,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                ),
                message.routing_key,
                mandatory=False,
            )


class _Engine:
    """A job through a worker process: publish `batch.created`, wait for `batch.completed`."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._ends: dict[str, asyncio.Future[None]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, installation: Installation) -> AsyncIterator[_Engine]:
        engine = cls(installation)
        mine = topics.Queue(
            name=f"benchmark.{new_ulid()}",
            bindings=(topics.Binding(topics.EVENTS, "batch.completed.#"),),
            durable=False,
            exclusive=True,
        )
        consumer = await installation.bus.consume(mine, engine._completed, prefetch=1000)
        yield engine
        await consumer.close()

    async def __call__(self) -> None:
        job_id = new_job_id()
        end = self._ends[job_id] = asyncio.get_running_loop().create_future()
        await self._installation.create("noop", job_id=job_id)
        await end

    async def _completed(self, delivery: Delivery) -> None:
        await delivery.ack()
        if end := self._ends.pop(delivery.message.routing_key.rpartition(".")[2], None):
            end.set_result(None)

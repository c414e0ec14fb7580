"""The broker or the database goes away and comes back: nothing is lost, and nobody has to help."""

from __future__ import annotations

import asyncio
from collections import Counter

import psutil
import pytest

from batchbus_events import topics
from batchbus_events.bus import Delivery
from batchbus_service.app.bootstrap import Timeouts
from batchbus_service.journal.outbox import Outbox
from tests.engine.installation import Installation
from tests.long import LONG
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode

JOBS = 100 if LONG else 40


async def failure(outbox: Outbox, *, over: bool = False) -> str:
    """What `doctor` says of it, as soon as there is something to say, or nothing any more."""
    async with asyncio.timeout(PATIENCE):
        while bool(outbox.failure) == over:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.01)  # the outbox names its failure, and tells nobody: asked again
    return outbox.failure or ""


async def test_the_broker_is_restarted_in_the_middle_of_many_jobs(
    installation: Installation, rabbit_node: RabbitNode
) -> None:
    followed = installation.followed
    async with installation.worker():
        jobs = await asyncio.gather(*(installation.create("chunks", chunks=2, seconds=0.1) for _ in range(JOBS)))
        await followed.event("batch.completed", nth=5)
        await asyncio.to_thread(rabbit_node.restart)
        await followed.every("batch.completed", jobs)
        await installation.all_published()
    for job_id in jobs:
        assert followed.types(job_id) == ["created", "pre_processed", "confirmed", "processing", "completed"]
        assert {event.data["run"] for event in followed.lifecycle(job_id)[3:]} <= {1, 2}


async def test_a_full_queue_of_one_subscriber_backs_the_outbox_off_and_is_named(installation: Installation) -> None:
    full = topics.Queue(
        name="tests.full",
        bindings=(topics.Binding(topics.EVENTS, "batch.completed.#"),),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": 3, "x-overflow": "reject-publish"},
    )
    taken: list[str] = []

    async def take(delivery: Delivery) -> None:
        taken.append(delivery.message.routing_key)
        await delivery.ack()

    async with installation.worker() as service:
        outbox = service.transitions.outbox
        subscriber = await installation.bus.consume(full, take, prefetch=1)
        await subscriber.pause()
        jobs = [await installation.create("noop") for _ in range(5)]
        assert "a queue that it is bound to is full" in await failure(outbox)
        # The jobs go on all the same, and what else there is to tell gets through.
        later = await installation.create("noop")
        await installation.followed.event("batch.processing", later)
        await installation.until(later, lambda job: job.terminal)
        assert await failure(outbox)

        await subscriber.resume()
        await installation.followed.every("batch.completed", [*jobs, later])
        await installation.all_published()
        await failure(outbox, over=True)
    assert {key.rpartition(".")[2] for key in taken} == {*jobs, later}


@pytest.mark.embedded
@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_the_database_goes_away_and_comes_back(
    installation: Installation, database_server: psutil.Process, how: str
) -> None:
    followed = installation.followed
    async with installation.worker_process(lease_seconds=2, timeouts=Timeouts(publish_grace=2.0)):
        running = [await installation.create("chunks", chunks=20, seconds=0.1) for _ in range(4)]
        await followed.every("batch.processing", running)
        if how == "frozen":
            database_server.suspend()
        else:
            database_server.kill()
        arrived = [await installation.create("noop") for _ in range(JOBS)]
        if how == "frozen":
            await asyncio.sleep(3)  # longer than the leases of the running jobs
            database_server.resume()
        await followed.every("batch.completed", [*running, *arrived])
        await installation.all_published()
    completed = Counter(event.subject for event in followed.all("batch.completed"))
    assert len(completed) == 4 + JOBS


@pytest.mark.embedded
async def test_a_worker_stops_in_time_although_the_database_is_away(
    installation: Installation, database_server: psutil.Process
) -> None:
    async with installation.worker_process(timeouts=Timeouts(cancel_grace=0.2, database=1, last_answers=1)) as worker:
        await installation.create("gated", gate=str(installation.gate()))
        await installation.followed.event("batch.processing")
        database_server.suspend()
        try:
            trigger = installation.trigger("created", None, type="noop")
            await installation.publish(trigger)
            assert await worker.stop() == 0
        finally:
            database_server.resume()
    await installation.queued(topics.TRIGGERS_QUEUE.name, messages=1, consumers=0)


async def test_a_worker_stops_in_time_although_the_broker_is_away(
    installation: Installation, rabbit_node: RabbitNode
) -> None:
    async with installation.worker_process() as worker:
        job_id = await installation.create("gated", gate=str(installation.gate()))
        await installation.followed.message(job_id, "at the gate")
        await asyncio.to_thread(rabbit_node.stop)
        assert await worker.stop() == 0
    job = await installation.job(job_id)
    assert (job.lease, job.failures) == (None, 0)
    assert job.ready_at is not None

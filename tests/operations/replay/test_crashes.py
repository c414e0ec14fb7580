"""Replays of a real past over RabbitMQ, by processes that are killed in the middle of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import pytest

from batchbus_events import topics
from batchbus_events.ids import new_job_id
from batchbus_events.topics import Binding, Queue
from batchbus_service.domain.ports import ReplayStore
from batchbus_service.domain.replay import Replay, State
from batchbus_service.domain.selection import Selection
from batchbus_service.operations.replay.replay_attempt import BATCH
from batchbus_service.storage.mongo.replays import MongoReplayStore
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess
from tests.long import LONG
from tests.operations.replay.asking import planned, reaching
from tests.operations.replay.conftest import OLGA, Subscriber
from tests.operations.replay.histories import finished_jobs
from tests.operations.replay.ordering import assert_in_order
from tests.patience import PATIENCE

pytestmark = [pytest.mark.rabbitmq, pytest.mark.slow, pytest.mark.timeout(300)]

JOBS: Final = 2000 if LONG else 500
EVENTS: Final = 5 * JOBS
KILLS: Final = 10 if LONG else 2
RUN_FOR_REAL: Final = 200 if LONG else 60


@pytest.fixture
async def billing(installation: Installation) -> Subscriber:
    subscriber = Subscriber(Queue(name="billing", arguments={"x-queue-type": "quorum"}))
    await installation.bus.consume(subscriber.queue, subscriber, prefetch=1000)
    return subscriber


async def test_a_replay_ends_the_same_however_often_its_process_is_killed(
    installation: Installation, billing: Subscriber
) -> None:
    for documents in _blocks():
        await installation.database["jobs"].insert_many(documents)
    replays = MongoReplayStore(installation.database)
    async with AsyncExitStack() as stack:
        players: dict[int, WorkerProcess] = {}

        async def hire() -> None:
            replayer = await stack.enter_async_context(installation.worker_process(lease_seconds=1))
            players[replayer.pid] = replayer

        await hire()
        await hire()
        hiring = asyncio.create_task(hire())
        replay = await _plan(replays, Selection())
        assert await replays.change(replay, replay.run(OLGA, replay.created_at, confirm=True, rate=4 * BATCH))
        for kill in range(KILLS):
            killed = await _holder(replays, replay.id, published=(kill + 1) * EVENTS // (KILLS + 2))
            # A process may take the replay before whoever waits for it to be ready knows its id.
            await hiring
            await players.pop(killed).kill()
            hiring = asyncio.create_task(hire())
        await hiring
        ended = await _until(replays, replay.id, State.COMPLETED)
        events = list(await billing.got_different(EVENTS))

    assert_in_order(events)
    taken_over = [entry.what for entry in ended.audit].count("taken over")
    assert taken_over >= KILLS
    assert len(events) - EVENTS <= taken_over * BATCH
    assert ended.published == EVENTS


async def test_a_subscriber_that_lost_everything_gets_it_again_and_the_service_takes_no_notice(
    installation: Installation,
) -> None:
    lost = Queue(
        name="lost",
        bindings=(Binding(topics.EVENTS, "batch.#"),),
        durable=False,
        exclusive=True,
    )
    async with installation.worker(worker_slots=20) as service:
        gone = Subscriber(lost)
        consumer = await installation.bus.consume(lost, gone, prefetch=100)
        await consumer.close()
        job_ids = [await installation.create("noop", job_id=new_job_id()) for _ in range(RUN_FOR_REAL)]
        for job_id in job_ids:
            await installation.followed.event("batch.completed", job_id, patience=60)
        await installation.all_published()

        back = Subscriber(Queue(name="lost.again", durable=False, exclusive=True))
        await installation.bus.consume(back.queue, back, prefetch=100)
        before = await _everything(installation)
        replays = []
        for _ in range(2):
            hour = Selection(since=service.transitions.clock.now() - timedelta(hours=1))
            replay = await _plan(service.replayer.replays, hour, queue=back.queue.name)
            assert await service.replayer.replays.change(replay, replay.run(OLGA, replay.created_at, confirm=True))
            replays.append(await _until(service.replayer.replays, replay.id, State.COMPLETED))
        assert await _everything(installation) == before

    expected = sum(len(job["history"]) for job in before)
    events = await back.got(2 * expected)
    for replay in replays:
        told = [event for event in events if event.replayid == replay.id]
        assert len({event.id for event in told}) == len(told) == expected
        assert_in_order(told)


def _blocks() -> Iterator[list[dict[str, Any]]]:
    documents = finished_jobs(JOBS)
    while block := list(islice(documents, 1000)):
        yield block


async def _plan(replays: ReplayStore, selection: Selection, queue: str = "billing") -> Replay:
    return await planned(replays, selection, queue, by=OLGA, patience=PATIENCE)


async def _until(replays: ReplayStore, replay_id: str, state: State) -> Replay:
    return await reaching(replays, replay_id, lambda known: known.state is state, patience=PATIENCE)


async def _holder(replays: ReplayStore, replay_id: str, *, published: int) -> int:
    """The process that carries it out, once so much is published."""
    known = await reaching(
        replays,
        replay_id,
        lambda known: known.published >= published and known.claim is not None,
        patience=PATIENCE,
    )
    assert known.claim is not None
    return int(known.claim.worker.split("-")[-2])


async def _everything(installation: Installation) -> list[dict[str, Any]]:
    return await installation.database["jobs"].find().sort("_id").to_list(None)

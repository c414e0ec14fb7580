"""Replays are planned and published in order, at a rate, with everything that can come between; on both buses."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, BusUnavailable, Message
from batchbus_events.topics import Binding, Queue
from batchbus_service.domain.errors import ReplayRefused
from batchbus_service.domain.replay import State
from batchbus_service.domain.selection import Selection
from batchbus_service.operations.replay.replay_attempt import BATCH
from tests.operations.replay.conftest import OLGA, Stage, Subscriber
from tests.operations.replay.histories import BEGIN
from tests.operations.replay.ordering import assert_in_order
from tests.patience import PATIENCE


async def test_a_plan_tells_what_would_be_published(stage: Stage, past: int, subscriber: Subscriber) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(
            replayer, subscriber.queue.name, Selection(types=("batch.created", "batch.completed"))
        )

    assert replay.state is State.PLANNED
    assert replay.plan is not None
    assert (replay.plan.events, replay.plan.jobs) == (400, 200)
    assert replay.plan.by_type == {"batch.created": 200, "batch.completed": 200}
    assert replay.plan.first == BEGIN
    assert replay.plan.last == BEGIN + timedelta(seconds=199 + 4)
    assert [told["time"] for told in replay.plan.sample][:3] == [BEGIN + timedelta(seconds=s) for s in range(3)]
    assert (replay.plan.destination_exists, replay.plan.consumers, replay.plan.waiting) == (True, 1, 0)
    assert subscriber.events == []


async def test_a_subscriber_gets_the_past_once_in_order_and_marked(
    stage: Stage, past: int, subscriber: Subscriber
) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name, rate=100_000)
        await stage.run(replayer, replay)
        done = await stage.until(replayer, replay, State.COMPLETED)

    events = await subscriber.got(past)
    assert_in_order(events)
    assert len({event.id for event in events}) == past
    assert {(event.replayid, event.replayedat, event.replayedby) for event in events} == {
        (replay.id, done.started_at, OLGA)
    }
    assert subscriber.keys[0] == f"batch.created.tests.{events[0].subject}"
    assert (done.published, done.repeated, done.trouble) == (past, 0, None)
    assert [entry.what for entry in done.audit] == ["planned", "run", "completed"]


async def test_two_replays_of_the_same_past_are_told_apart(stage: Stage, past: int, subscriber: Subscriber) -> None:
    async with stage.playing() as replayer:
        for _ in range(2):
            replay = await stage.plan(replayer, subscriber.queue.name, rate=100_000)
            await stage.run(replayer, replay)
            await stage.until(replayer, replay, State.COMPLETED)

    by_replay = Counter(event.replayid for event in await subscriber.got(2 * past))
    assert list(by_replay.values()) == [past, past]
    assert len({(event.id, event.replayid) for event in subscriber.events}) == 2 * past


async def test_everyone_gets_a_replay_to_the_exchange(stage: Stage, past: int, bus: Bus) -> None:
    everyone = Subscriber(
        Queue(name="tests.all", bindings=(Binding(topics.EVENTS, "batch.completed.#"),), durable=False, exclusive=True)
    )
    await bus.consume(everyone.queue, everyone, prefetch=100)
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, None, rate=100_000)
        await stage.run(replayer, replay)
        await stage.until(replayer, replay, State.COMPLETED)

    assert {event.type for event in await everyone.got(200)} == {"batch.completed"}


async def test_a_replay_keeps_its_rate_and_stops_when_it_is_paused(
    stage: Stage, past: int, subscriber: Subscriber
) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name)
        await stage.run(replayer, replay, rate=8)
        await subscriber.got(4)

        running = await replayer.replays.get(replay.id)
        assert await replayer.replays.change(running, running.pause(OLGA, stage.clock.now()))
        paused = await replayer.replays.get(replay.id)
        assert len(subscriber.events) < past

        assert await replayer.replays.change(paused, paused.resume(OLGA, stage.clock.now(), rate=100_000))
        replayer.look()
        done = await stage.until(replayer, replay, State.COMPLETED)

    assert_in_order(await subscriber.got(past))
    assert (len(subscriber.events), done.published) == (past, past)
    assert [entry.what for entry in done.audit] == ["planned", "run", "pause", "resume", "completed"]


async def test_the_rate_changes_while_it_runs(stage: Stage, past: int, subscriber: Subscriber) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name)
        await stage.run(replayer, replay, rate=8)
        await subscriber.got(1)

        running = await replayer.replays.get(replay.id)
        assert await replayer.replays.change(running, running.resume(OLGA, stage.clock.now(), rate=100_000))
        done = await stage.until(replayer, replay, State.COMPLETED)

    assert_in_order(await subscriber.got(past))
    assert done.rate == 100_000


async def test_an_aborted_replay_publishes_no_more(stage: Stage, past: int, subscriber: Subscriber) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name)
        await stage.run(replayer, replay, rate=8)
        await subscriber.got(1)
        running = await replayer.replays.get(replay.id)
        assert await replayer.replays.change(running, running.abort(OLGA, stage.clock.now()))

        # The player is free again for another one only when it has left this one.
        other = await stage.plan(
            replayer, subscriber.queue.name, Selection(job_ids=(subscriber.events[0].subject or "",))
        )
        aborted = await replayer.replays.get(replay.id)

    assert other.state is State.PLANNED
    assert aborted.state is State.ABORTED
    assert aborted.published == len(subscriber.events) < past


async def test_a_queue_that_is_not_there_is_told_before_and_during_a_replay(stage: Stage, past: int, bus: Bus) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, "tests.nobody")
        assert replay.plan is not None and not replay.plan.destination_exists
        with pytest.raises(ReplayRefused, match=r"tests\.nobody did not exist"):
            replay.run(OLGA, stage.clock.now(), confirm=True)

        leaving = Subscriber(Queue(name="tests.leaving", durable=False, exclusive=True))
        consumer = await bus.consume(leaving.queue, leaving, prefetch=10)
        replay = await stage.plan(replayer, "tests.leaving")
        await consumer.close()
        await stage.run(replayer, replay, rate=100_000)
        paused = await stage.until(replayer, replay, State.PAUSED)
        assert paused.trouble is not None and "tests.leaving is not there any more" in paused.trouble
        assert paused.published == 0

        back = Subscriber(leaving.queue)
        await bus.consume(back.queue, back, prefetch=100)
        assert await replayer.replays.change(paused, paused.resume(OLGA, stage.clock.now()))
        replayer.look()
        done = await stage.until(replayer, replay, State.COMPLETED)

    assert_in_order(await back.got(past))
    assert done.trouble is None


async def test_only_one_of_two_operators_runs_it(stage: Stage, past: int, subscriber: Subscriber) -> None:
    async with stage.playing() as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name)
        now = stage.clock.now()
        written = await asyncio.gather(
            *(
                replayer.replays.change(replay, replay.run(by, now, confirm=True))
                for by in ("a@example.com", "b@example.com")
            )
        )

    assert sorted(written) == [False, True]


async def test_another_process_takes_over_and_repeats_no_more_than_a_batch(
    stage: Stage, past: int, subscriber: Subscriber
) -> None:
    class Vanishing:
        """Publishes so many messages, then nothing is heard of it again."""

        def __init__(self, bus: Bus, messages: int) -> None:
            self.left = messages
            self.bus = bus
            self.gone = asyncio.Event()

        async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
            if self.left == 0:
                self.gone.set()
                await asyncio.Event().wait()
            self.left -= 1
            await self.bus.publish(exchange, message, mandatory=mandatory)

        def __getattr__(self, name: str) -> object:
            return getattr(self.bus, name)

    vanishing = Vanishing(stage.bus, 700)
    # A claim that the first cannot lose while it publishes, however slow the machine is.
    first = await stage.replayer("first", claim=timedelta(seconds=5), bus=vanishing)  # type: ignore[arg-type]
    await first.start()
    replay = await stage.plan(first, subscriber.queue.name)
    await stage.run(first, replay, rate=100_000)
    async with asyncio.timeout(PATIENCE):
        await vanishing.gone.wait()
    (playing,) = (task for task in asyncio.all_tasks() if task.get_name() == "replays")
    first.replays.release = _never  # type: ignore[method-assign, assignment]
    playing.cancel()
    await asyncio.wait([playing])

    async with stage.playing("second", claim=timedelta(seconds=1)) as second:
        done = await stage.until(second, replay, State.COMPLETED)

    assert len(await subscriber.got_different(past)) - past <= BATCH
    assert done.published == past
    assert [(entry.by, entry.what) for entry in done.audit][-2:] == [("second", "taken over"), ("second", "completed")]


async def test_a_broker_that_does_not_answer_holds_a_replay_up(stage: Stage, past: int, subscriber: Subscriber) -> None:
    class Faltering:
        """Takes every message but the hundredth, the first time."""

        def __init__(self, bus: Bus) -> None:
            self.bus = bus
            self.number = 0

        async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
            self.number += 1
            if self.number == 100:
                raise BusUnavailable("no answer in time")
            await self.bus.publish(exchange, message, mandatory=mandatory)

        def __getattr__(self, name: str) -> object:
            return getattr(self.bus, name)

    async with stage.playing(bus=Faltering(stage.bus)) as replayer:
        replay = await stage.plan(replayer, subscriber.queue.name)
        await stage.run(replayer, replay, rate=2000)
        done = await stage.until(replayer, replay, State.COMPLETED)

    await subscriber.got_different(past)
    assert (done.published, done.trouble) == (past, None)
    assert len(subscriber.events) - past < done.repeated <= BATCH, "the one that was refused has not come twice"
    assert_in_order(subscriber.events)


async def _never(_: object) -> None:
    """What a process that is killed does last."""

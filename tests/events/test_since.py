"""`Client.subscribe(since=…)`: every event from a time on, none missing and none twice, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import aio_pika
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchbus_events import topics
from batchbus_events.bus import Bus, BusUnavailable, Message
from batchbus_events.client import Client
from batchbus_events.event import Event, encode
from batchbus_events.history import HistoryUnavailable
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.since import LogTruncated
from tests.events.past import Past
from tests.events.proxy import Proxy
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode

BEGIN: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
"""When the first event of a test happened; each is a millisecond later than the one before."""


@dataclass
class Batchbus:
    """Writes its history first, and publishes then; a crash in between publishes an event twice."""

    bus: Bus
    past: Past = field(default_factory=Past)
    jobs: list[str] = field(default_factory=lambda: [new_job_id() for _ in range(3)])
    published: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The last `sequence` of each job that the broker has got."""
    _sequences: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def announce(self, job: int = 0, *, copies: int = 1) -> Event:
        """`copies`: how often the broker gets it."""
        job_id = self.jobs[job]
        self._sequences[job_id] += 1
        event = Event(
            type="batch.updated",
            source="batchbus",
            id=new_ulid(),
            subject=job_id,
            sequence=self._sequences[job_id],
            time=BEGIN + timedelta(milliseconds=len(self.past.events)),
            data={"type": "t", "filler": "x" * 300},
        )
        self.past.events.append(event)
        for _ in range(copies):
            await self.publish(event)
            self.published[job_id] = self._sequences[job_id]
        return event

    async def publish(self, event: Event) -> None:
        key = topics.routing_key(event.type, "t", event.subject)
        message = Message(body=encode(event), routing_key=key, message_id=event.id)
        while True:
            try:
                return await self.bus.publish(topics.EVENTS, message)
            except BusUnavailable:
                await asyncio.sleep(0.05)  # as the outbox does


class Reading:
    """What a subscription has told so far."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events
        self.told: list[Event] = []

    async def read(self, count: int) -> list[Event]:
        async with asyncio.timeout(PATIENCE):
            self.told += [await anext(self._events) for _ in range(count)]
        return self.told

    def check(self, batchbus: Batchbus, since: datetime) -> None:
        expected = [event for event in batchbus.past.events if event.time and event.time >= since]
        for job_id in batchbus.jobs:
            mine = [event.sequence for event in self.told if event.subject == job_id]
            assert mine == [event.sequence for event in expected if event.subject == job_id]


@dataclass
class Setup:
    batchbus: Batchbus
    bus: Bus
    """The subscriber's."""

    def client(self, *, with_history: bool = True) -> Client:
        return Client(self.bus, source="tests", history=self.batchbus.past if with_history else None)


@asynccontextmanager
async def on_memory() -> AsyncIterator[Setup]:
    async with MemoryBus(log_size=10) as bus:
        yield Setup(Batchbus(bus), bus)


@asynccontextmanager
async def on_rabbitmq(url: str, proxied: str | None = None) -> AsyncIterator[Setup]:
    async with RabbitBus.open(url) as ours, RabbitBus.open(proxied or url, declare=False) as bus:
        yield Setup(Batchbus(ours), bus)


SHORT_LOG: Final = replace(
    topics.LOG_QUEUE,
    arguments={"x-queue-type": "stream", "x-max-length-bytes": 5_000, "x-stream-max-segment-size-bytes": 1_500},
)
"""About ten events, as on the memory bus above."""


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def opening(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractAsyncContextManager[Setup]]:
    if request.param == "memory":
        return on_memory
    monkeypatch.setattr(topics, "LOG_QUEUE", SHORT_LOG)
    url = request.getfixturevalue("amqp_vhost_url")
    return lambda: on_rabbitmq(url)


@pytest.fixture
async def setup(opening: Callable[[], AbstractAsyncContextManager[Setup]]) -> AsyncIterator[Setup]:
    async with opening() as made:
        yield made


@pytest.fixture
def batchbus(setup: Setup) -> Batchbus:
    return setup.batchbus


async def test_the_past_comes_first_then_the_present(setup: Setup, batchbus: Batchbus) -> None:
    await batchbus.announce()
    second = await batchbus.announce()
    await batchbus.announce(1)
    assert second.time

    async with setup.client(with_history=False).subscribe("batch.updated.#", since=second.time) as events:
        reading = Reading(events)
        await reading.read(2)
        await batchbus.announce(1, copies=2)
        await batchbus.announce()
        await reading.read(2)

    reading.check(batchbus, second.time)


async def test_what_the_log_no_longer_has_comes_from_the_history(setup: Setup, batchbus: Batchbus) -> None:
    for number in range(60):
        await batchbus.announce(number % 3)

    async with setup.client().subscribe("batch.updated.#", since=BEGIN) as events:
        reading = Reading(events)
        await reading.read(60)
        await batchbus.announce()
        await reading.read(1)

    reading.check(batchbus, BEGIN)


async def test_without_a_history_a_log_that_is_too_short_is_an_error(setup: Setup, batchbus: Batchbus) -> None:
    for _ in range(60):
        await batchbus.announce()

    with pytest.raises(LogTruncated, match="Give the client a history"):
        async with setup.client(with_history=False).subscribe("batch.#", since=BEGIN) as events:
            await Reading(events).read(60)


async def test_a_log_that_never_had_an_event_is_filled_in(setup: Setup, batchbus: Batchbus) -> None:
    await batchbus.announce(copies=0)

    async with setup.client().subscribe("batch.#", since=BEGIN) as events:
        reading = Reading(events)
        await reading.read(1)
        await batchbus.announce(copies=0)
        await batchbus.announce()
        await reading.read(2)

    reading.check(batchbus, BEGIN)


async def test_a_pattern_chooses_and_what_is_not_kept_comes_as_it_passes(setup: Setup, batchbus: Batchbus) -> None:
    mine, other = batchbus.jobs[:2]
    await batchbus.announce(0)
    await batchbus.announce(1)
    async with setup.client().subscribe(f"#.{mine}", since=BEGIN) as events:
        reading = Reading(events)
        await reading.read(1)
        for job_id in (other, mine):
            progress = Event(
                type="batch.progress", source="batchbus", id=new_ulid(), subject=job_id, data={"type": "t"}
            )
            await batchbus.publish(progress)
        told = await reading.read(1)

    assert [(event.type, event.subject) for event in told] == [("batch.updated", mine), ("batch.progress", mine)]


async def test_a_replay_is_told_beside_the_event_itself(setup: Setup, batchbus: Batchbus) -> None:
    event = await batchbus.announce()
    async with setup.client().subscribe("batch.updated.#", since=BEGIN) as events:
        reading = Reading(events)
        await reading.read(1)
        for replay in ("one", "one", "two"):
            await batchbus.publish(replace(event, replayid=replay, replayedat=datetime.now(UTC)))
        told = await reading.read(2)

    assert [event.replayid for event in told] == [None, "one", "two"]


async def test_a_history_that_breaks_off_is_asked_again_once_the_subscription_stands(
    setup: Setup, batchbus: Batchbus
) -> None:
    batchbus.past.failures = 1
    await batchbus.announce()
    with pytest.raises(HistoryUnavailable):
        async with setup.client().subscribe("batch.#", since=BEGIN) as events:
            await Reading(events).read(1)

    async with setup.client().subscribe("batch.#", since=BEGIN) as events:
        reading = Reading(events)
        await reading.read(1)
        batchbus.past.failures = 1
        for _ in range(3):
            await batchbus.announce(copies=0)
        await batchbus.announce()
        await reading.read(4)

    reading.check(batchbus, BEGIN)


async def test_a_queue_has_its_own_past(setup: Setup) -> None:
    with pytest.raises(ValueError, match="either queue or since"):
        async with setup.client().subscribe("batch.#", queue="mine", since=BEGIN):
            pass


Step = tuple[str, int, int]
"""`announce`, a job, and how many copies of its next event the broker gets; or `read`, `cut` or `restart`, and zeros."""

STEPS: Final = st.one_of(
    st.tuples(st.just("announce"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("announce"), st.integers(0, 2), st.just(1)),
    st.sampled_from([("read", 0, 0), ("cut", 0, 0)]),
)


CUTS: Final = 2
"""In one script: with every more the bus waits longer before it connects again."""


def scripts(*, longest: int) -> st.SearchStrategy[list[Step]]:
    def without_more(script: list[Step]) -> list[Step]:
        cuts = [place for place, (step, *_) in enumerate(script) if step == "cut"]
        return [step for place, step in enumerate(script) if place not in cuts[CUTS:]]

    return st.lists(STEPS, max_size=longest).map(without_more)


async def live_through(
    setup: Setup, script: list[Step], begin: int, *, cut: Callable[[], None], restart: Callable[[], None]
) -> None:
    """Do what the script says; in the end everything from the event number `begin` on has been told once, in order."""
    batchbus = setup.batchbus
    since = BEGIN + timedelta(milliseconds=begin)

    def can_be_read() -> int:
        wanted = [event for event in batchbus.past.events if event.time and event.time >= since]
        shown = [event for event in wanted if (event.sequence or 0) <= batchbus.published[event.subject or ""]]
        return len(shown) - len(reading.told)

    for number in range(15):
        await batchbus.announce(number % 3)
    async with setup.client().subscribe("batch.updated.#", since=since) as events:
        reading = Reading(events)
        await reading.read(1)  # the subscription stands; before, a lost connection would be told to the reader
        for step, job, copies in script:
            match step:
                case "announce":
                    await batchbus.announce(job, copies=copies)
                case "read":
                    await reading.read(min(5, can_be_read()))
                case "cut":
                    cut()
                case "restart":
                    await asyncio.to_thread(restart)
        for job in range(3):  # what the broker never got shows with the next event of its job
            await batchbus.announce(job)
        await reading.read(can_be_read())
        last = await batchbus.announce()
        assert (await reading.read(1))[-1] == last
    reading.check(batchbus, since)


@settings(max_examples=100, deadline=None)
@given(script=scripts(longest=60), begin=st.integers(0, 14))
def test_nothing_is_missing_and_nothing_comes_twice(script: list[Step], begin: int) -> None:
    async def scenario() -> None:
        async with on_memory() as setup:
            await live_through(setup, script, begin, cut=lambda: None, restart=lambda: None)

    asyncio.run(scenario())


BUSY: Final[list[Step]] = [("announce", number % 3, 1) for number in range(20)]


@pytest.mark.rabbitmq
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=scripts(longest=40), begin=st.integers(0, 14))
@example(script=[("read", 0, 0), ("cut", 0, 0), *BUSY, ("cut", 0, 0), ("read", 0, 0), *BUSY], begin=3)
def test_nothing_is_missing_and_nothing_comes_twice_on_rabbitmq(
    rabbit_node: RabbitNode, script: list[Step], begin: int
) -> None:
    """The broker shortens its log all the time, and the script cuts the subscriber's connections."""

    async def scenario() -> None:
        url = rabbit_node.fresh_vhost()
        async with Proxy.to(url) as proxy, on_rabbitmq(url, proxy.url) as setup:
            await live_through(setup, script, begin, cut=proxy.cut, restart=rabbit_node.restart)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topics, "LOG_QUEUE", SHORT_LOG)
        asyncio.run(scenario())


@pytest.mark.rabbitmq
async def test_nothing_is_missing_and_nothing_comes_twice_when_the_broker_restarts(rabbit_node: RabbitNode) -> None:
    script = [("read", 0, 0), ("restart", 0, 0), *BUSY, ("read", 0, 0)]
    async with on_rabbitmq(rabbit_node.fresh_vhost()) as setup:
        await live_through(setup, script, 0, cut=lambda: None, restart=rabbit_node.restart)


@pytest.mark.rabbitmq
async def test_a_log_that_was_made_anew_is_noticed_by_who_comes_back(amqp_vhost_url: str) -> None:
    async with Proxy.to(amqp_vhost_url) as proxy, on_rabbitmq(amqp_vhost_url, proxy.url) as setup:
        batchbus = setup.batchbus
        for _ in range(5):
            await batchbus.announce()
        async with setup.client().subscribe("batch.updated.#", since=BEGIN) as events:
            reading = Reading(events)
            await reading.read(5)

            async with await aio_pika.connect(amqp_vhost_url) as connection, connection.channel() as channel:
                await channel.queue_delete(topics.LOG_QUEUE.name)
            await batchbus.announce()
            await batchbus.bus.declare(topics.LOG_QUEUE)
            proxy.cut()

            await reading.read(1)
            await batchbus.announce()
            await reading.read(1)
        reading.check(batchbus, BEGIN)

"""The client, against a pretended batchbus, on the memory bus and on RabbitMQ."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace

import aio_pika
import pytest

from batchbus_events import topics
from batchbus_events.bus import Bus, Message, Unroutable
from batchbus_events.client import Client
from batchbus_events.event import Event, InvalidEvent, encode
from batchbus_events.following import JobCanceled, JobFailed, TriggerRejected
from batchbus_events.ids import new_job_id
from batchbus_events.memory import MemoryBus
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.testing import FakeBatchbus, recorded
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode

WHOLE_LIFE = ["batch.created", "batch.pre_processed", "batch.confirmed", "batch.processing", "batch.completed"]


@asynccontextmanager
async def on_memory() -> AsyncIterator[tuple[Bus, Client]]:
    async with MemoryBus() as bus:
        yield bus, Client(bus, source="shop")


@asynccontextmanager
async def on_rabbitmq(url: str) -> AsyncIterator[tuple[Bus, Client]]:
    async with RabbitBus.open(url) as bus, Client.connect(url, source="shop") as client:
        yield bus, client


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[tuple[Bus, Client]]:
    if request.param == "memory":
        return on_memory()
    return on_rabbitmq(request.getfixturevalue("amqp_vhost_url"))


@pytest.fixture
async def both(opening: AbstractAsyncContextManager[tuple[Bus, Client]]) -> AsyncIterator[tuple[Bus, Client]]:
    async with opening as opened, asyncio.timeout(60):
        yield opened


@pytest.fixture
def bus(both: tuple[Bus, Client]) -> Bus:
    """What batchbus is connected to."""
    return both[0]


@pytest.fixture
def client(both: tuple[Bus, Client]) -> Client:
    return both[1]


async def types_of(events: AsyncIterator[Event]) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [event.type async for event in events]


async def test_a_job_is_followed_to_its_end(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus) as batchbus:
        job_id = await client.create("product-import", {"fileKey": "a.csv"})
        async with asyncio.timeout(PATIENCE):
            events = [event async for event in client.follow(job_id)]

    assert [event.type for event in events] == WHOLE_LIFE
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert {event.subject for event in events} == {job_id}
    assert batchbus.jobs[job_id].request.context == {"fileKey": "a.csv"}


async def test_a_job_that_failed_is_followed_to_its_end(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus, failing={"product-import": "no such file"}):
        job_id = await client.create("product-import")
        async with asyncio.timeout(PATIENCE):
            last = [event async for event in client.follow(job_id)][-1]

    assert (last.type, last.data["error"]) == ("batch.failed", "no such file")


async def test_a_dry_run_goes_on_when_it_is_confirmed(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus), recorded(bus) as recording:
        job_id = await client.create("product-import", dry_run=True)
        await recording.until("batch.pre_processed", job_id=job_id)
        assert "batch.confirmed" not in recording.types

        await client.confirm(job_id)

        assert await types_of(client.follow(job_id)) == WHOLE_LIFE


async def test_a_confirmation_of_another_plan_is_rejected_and_that_of_the_plan_is_not(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus, require_plan_digest=True), recorded(bus) as recording:
        job_id = await client.create("product-import", dry_run=True)
        planned = await recording.until("batch.pre_processed", job_id=job_id)
        digest = planned.data["plan_digest"]
        assert isinstance(digest, str)

        for other in ("d" * 64, None):
            await client.confirm(job_id, plan_digest=other)
        await client.confirm(job_id, plan_digest=digest)

        assert await types_of(client.follow(job_id)) == WHOLE_LIFE
    rejected = [event for event in recording.events if event.type == "batch.rejected"]
    assert [(event.subject, event.data["reason"]) for event in rejected] == [(job_id, "not_allowed")] * 2


async def test_two_jobs_have_two_plans_and_a_digest_may_be_left_out(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus) as batchbus, recorded(bus) as recording:
        first, second = [await client.create("product-import", dry_run=True) for _ in range(2)]
        await recording.until("batch.pre_processed", job_id=second)
        await client.confirm(second, plan_digest=batchbus.jobs[first].plan_digest)
        rejected = await recording.until("batch.rejected")
        assert (rejected.subject, batchbus.jobs[second].status) == (second, "pre_processed")
        await client.confirm(second)
        assert await types_of(client.follow(second)) == WHOLE_LIFE


async def test_a_dry_run_can_be_canceled(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus):
        job_id = await client.create("product-import", dry_run=True)

        await client.cancel(job_id, reason="changed my mind")

        assert await types_of(client.follow(job_id)) == ["batch.created", "batch.pre_processed", "batch.canceled"]


async def test_what_cannot_be_done_is_announced(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus), recorded(bus, "batch.rejected.#") as recording:
        await client.confirm(new_job_id(), plan_digest="d" * 64)

        rejected = await recording.until("batch.rejected")
    assert rejected.data["reason"] == "unknown_job"


async def test_the_same_key_makes_one_job_and_the_client_knows_its_id(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus) as batchbus:
        first = await client.create("product-import", idempotency_key="order-7")
        second = await client.create("product-import", idempotency_key="order-7")
        assert first == second
        assert await types_of(client.follow(first)) == WHOLE_LIFE
        assert set(batchbus.jobs) == {first}


async def test_a_request_can_be_repeated_with_its_job_id(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    async with FakeBatchbus(bus) as batchbus:
        assert await client.create("product-import", job_id=job_id) == job_id
        assert await client.create("product-import", job_id=job_id) == job_id
        assert await types_of(client.follow(job_id)) == WHOLE_LIFE
        assert set(batchbus.jobs) == {job_id}


async def test_a_bad_request_is_refused_before_it_is_published(bus: Bus, client: Client) -> None:
    async with recorded(bus, exchange=topics.TRIGGERS) as recording:
        for refused in (
            client.create("Product.Import"),
            client.create("t", {"nul\0": 1}),
            client.create("t", job_id="7"),
            client.confirm("7"),
            client.cancel("7"),
        ):
            with pytest.raises(InvalidEvent):
                await refused

    assert recording.events == []


def fact(job_id: str, number: int, event_type: str = "batch.updated") -> Event:
    return Event(type=event_type, source="batchbus", id=str(number), subject=job_id, sequence=number, data={})


async def publish(bus: Bus, event: Event) -> None:
    key = topics.routing_key(event.type, "t", event.subject)
    await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key))


async def publish_to_the_log_alone(bus: Bus, event: Event) -> None:
    """As if the queue of every follower had missed it."""
    key = f"{event.type}.t.elsewhere.{event.subject}"
    await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key))


async def test_a_late_follower_gets_the_past_first_then_the_present_and_nothing_twice(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    for number in (1, 2):
        await publish(bus, fact(job_id, number))
    async with aclosing(client.follow(job_id)) as following, asyncio.timeout(PATIENCE):
        told = [(await anext(following)).sequence for _ in range(2)]

        for number in (2, 1, 3):
            await publish(bus, fact(job_id, number))
        await publish(bus, replace(fact(job_id, 1, "batch.progress"), sequence=None))
        await publish(bus, fact(job_id, 4, "batch.completed"))

        told += [event.sequence async for event in following]
    assert told == [1, 2, 3, None, 4]


async def test_a_gap_is_filled_from_the_log(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    async with aclosing(client.follow(job_id)) as following, asyncio.timeout(PATIENCE):
        await publish(bus, fact(job_id, 1))
        assert (await anext(following)).sequence == 1

        await publish_to_the_log_alone(bus, fact(job_id, 2))
        await publish(bus, fact(job_id, 3, "batch.completed"))

        assert [event.sequence async for event in following] == [2, 3]


async def test_a_job_that_was_retried_is_followed_past_its_failure(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    life = ["batch.created", "batch.failed", "batch.confirmed", "batch.completed"]
    for number, event_type in enumerate(life, start=1):
        await publish(bus, fact(job_id, number, event_type))

    assert await types_of(client.follow(job_id)) == life


async def test_history_is_one_jobs_events_after_a_number_each_once(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    for number in (1, 2, 2, 3, 1):
        await publish(bus, fact(job_id, number))
        await publish(bus, fact(new_job_id(), number))

    assert [event.sequence for event in await client.history(job_id)] == [1, 2, 3]
    assert [event.sequence for event in await client.history(job_id, after=1)] == [2, 3]
    assert await client.history(new_job_id()) == []


async def test_a_subscription_hears_what_matches_from_now_on(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    await publish(bus, fact(job_id, 1))
    async with client.subscribe("batch.updated.#") as events, asyncio.timeout(PATIENCE):
        await bus.publish(topics.EVENTS, Message(body=b"not an event", routing_key="batch.updated"))
        await publish(bus, fact(job_id, 2, "batch.completed"))
        await publish(bus, fact(job_id, 3))

        assert (await anext(events)).sequence == 3


async def test_an_event_that_a_newer_major_version_wrote_is_skipped(bus: Bus, client: Client) -> None:
    job_id = new_job_id()
    schema = "urn:batchbus:schema:event:batch.updated:"
    async with client.subscribe("batch.#") as events, asyncio.timeout(PATIENCE):
        await publish(bus, replace(fact(job_id, 1), dataschema=schema + "2.0"))
        await publish(bus, replace(fact(job_id, 2), dataschema=schema + "1.1"))

        assert (await anext(events)).sequence == 2


async def test_what_a_named_subscription_did_not_finish_comes_again(bus: Bus, client: Client) -> None:
    job_id, queue = new_job_id(), f"tests.{new_job_id()}"
    async with client.subscribe("batch.#", queue=queue) as events, asyncio.timeout(PATIENCE):
        for number in (1, 2):
            await publish(bus, fact(job_id, number))
        assert [(await anext(events)).sequence for _ in range(2)] == [1, 2]

    async with client.subscribe("batch.#", queue=queue) as events, asyncio.timeout(PATIENCE):
        assert (await anext(events)).sequence == 2


def test_without_rabbitmq_the_client_takes_pydantic_alone() -> None:
    program = (
        "import sys\n"
        "import batchbus_events, batchbus_events.asyncapi, batchbus_events.client, batchbus_events.testing\n"
        "print(sorted({'aio_pika', 'aiormq', 'yarl'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.rabbitmq
async def test_a_follower_whose_connection_was_lost_looks_back(rabbit_node: RabbitNode) -> None:
    job_id = new_job_id()
    async with on_rabbitmq(rabbit_node.fresh_vhost()) as (bus, client), aclosing(client.follow(job_id)) as following:
        await publish(bus, fact(job_id, 1))
        async with asyncio.timeout(PATIENCE):
            assert (await anext(following)).sequence == 1
        await publish_to_the_log_alone(bus, fact(job_id, 2, "batch.completed"))

        await asyncio.to_thread(rabbit_node.ctl, "close_all_connections", "--global", "a test")

        async with asyncio.timeout(PATIENCE):
            assert [event.sequence async for event in following] == [2]


@pytest.mark.rabbitmq
async def test_where_nothing_takes_triggers_a_request_is_refused(amqp_vhost_url: str) -> None:
    async with RabbitBus.open(amqp_vhost_url), Client.connect(amqp_vhost_url, source="shop") as client:
        async with await aio_pika.connect(amqp_vhost_url) as connection, connection.channel() as channel:
            await channel.queue_delete(topics.TRIGGERS_QUEUE.name)

        with pytest.raises(Unroutable):
            await client.create("product-import")


async def test_the_result_of_a_job_is_waited_for(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus, failing={"bad": "the well is dry"}):
        done = await client.result(await client.create("good"), timeout=PATIENCE)
        assert (done["status"], done["type"]) == ("completed", "good")
        with pytest.raises(JobFailed, match="the well is dry") as failed:
            await client.result(await client.create("bad"), timeout=PATIENCE)
        assert failed.value.event.type == "batch.failed"
        dry = await client.create("good", dry_run=True)
        await client.cancel(dry)
        with pytest.raises(JobCanceled):
            await client.result(dry, timeout=PATIENCE)


async def test_a_job_that_does_not_end_in_time_goes_on(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus) as batchbus:
        dry = await client.create("good", dry_run=True)
        seen: list[str] = []
        with pytest.raises(TimeoutError):
            async for event in client.follow(dry, timeout=0.2):
                seen.append(event.type)
        with pytest.raises(TimeoutError):
            await client.result(dry, timeout=0.01)
        await client.confirm(dry)
        assert (await client.result(dry, timeout=PATIENCE))["status"] == "completed"
    assert batchbus.jobs[dry].status == "completed"


async def test_a_type_that_has_to_be_served_is_refused_at_once(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus, types={"good"}) as batchbus, recorded(bus) as recording:
        with pytest.raises(TriggerRejected) as rejected:
            await client.create("nobody", require_type=True)
        assert rejected.value.reason == "unknown_type"
        assert batchbus.jobs == {}
        job_id = await client.create("good", require_type=True, idempotency_key="monday")
        again = await client.create("good", require_type=True, idempotency_key="monday")
        assert again == job_id
        await client.result(job_id, timeout=PATIENCE)
        waits = await client.create("nobody")
        await recording.until("batch.created", job_id=waits)


async def test_a_job_that_was_never_made_has_no_result(bus: Bus, client: Client) -> None:
    async with FakeBatchbus(bus, types={"good"}):
        job_id = new_job_id()

        async def refused() -> str:
            with pytest.raises(TriggerRejected) as rejected:
                await client.result(job_id, timeout=PATIENCE)
            return rejected.value.reason

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(refused())
            with pytest.raises(TriggerRejected):
                await client.create("nobody", job_id=job_id, require_type=True)
            while not waiting.done():  # the first rejection may have come before it listened
                with pytest.raises(TriggerRejected):
                    await client.create("nobody", job_id=job_id, require_type=True)
        assert waiting.result() == "unknown_type"

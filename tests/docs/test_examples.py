"""The programs under docs/examples, run as they are: as processes, against a real RabbitMQ and a real database."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_events import topics
from batchbus_events.bus import Bus, Message
from batchbus_events.client import Client
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.parking import parked_queue, subscriber_queue
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.testing import FakeBatchbus
from tests.docs.pages import ROOT
from tests.patience import PATIENCE

EXAMPLES: Final = ROOT / "docs" / "examples"
JOBS: Final = 8
EVENTS_OF_A_JOB: Final = 5
KILLS: Final = 3


@asynccontextmanager
async def program(*command: str | Path) -> AsyncIterator[Process]:
    """Killed at the end, if it has not ended."""
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def publish(bus: Bus, job_id: str, sequence: int) -> None:
    event = Event(
        type="batch.updated",
        source="batchbus",
        id=new_ulid(),
        subject=job_id,
        sequence=sequence,
        time=datetime.now(UTC),
        data={"type": "orders"},
    )
    key = topics.routing_key(event.type, "orders", job_id)
    await bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key, message_id=event.id))


async def lines(process: Process, count: int) -> None:
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        for _ in range(count):
            assert await process.stdout.readline()


@pytest.mark.rabbitmq
async def test_the_ledger_books_every_event_once_whatever_fails_and_whenever_it_is_killed(
    amqp_vhost_url: str, mongo_url: str, database_name: str
) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    ledger = client[database_name]["ledger"]
    chance = random.Random(4)

    async def booked() -> int:
        return sum([len(job["entries"]) async for job in ledger.find()])

    jobs = [new_job_id() for _ in range(JOBS)]
    expected = JOBS * EVENTS_OF_A_JOB
    command = (
        sys.executable, EXAMPLES / "ledger.py", amqp_vhost_url, mongo_url, database_name, "--fail-every", "3",
    )  # fmt: skip
    async with RabbitBus.open(amqp_vhost_url) as bus:
        await bus.declare(subscriber_queue("ledger", ["batch.#"], crashes=20))
        for sequence in range(1, EVENTS_OF_A_JOB + 1):
            await asyncio.gather(*(publish(bus, job_id, sequence) for job_id in jobs))

        for _ in range(KILLS):
            async with program(*command) as process:
                await lines(process, chance.randint(3, expected // (KILLS + 2)))
        async with program(*command) as process:
            await lines(process, expected - await booked())

        entries = {job["_id"]: job async for job in ledger.find()}
        for job_id in jobs:
            assert [entry["sequence"] for entry in entries[job_id]["entries"]] == [1, 2, 3, 4, 5]
            assert entries[job_id]["charges"] == EVENTS_OF_A_JOB
        parked = await bus.inspect(parked_queue("ledger").name)
        assert parked is not None and parked.messages == 0
    client.close()


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("amqp_tools")
async def test_completed_jobs_are_written_down_with_nothing_but_amqp_tools(amqp_vhost_url: str, tmp_path: Path) -> None:
    written = tmp_path / "completed.jsonl"
    async with (
        RabbitBus.open(amqp_vhost_url) as bus,
        FakeBatchbus(bus),
        program("sh", EXAMPLES / "completed.sh", amqp_vhost_url, written, "3") as process,
        asyncio.timeout(PATIENCE),
    ):
        while (state := await bus.inspect("completed")) is None or not state.consumers:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the program says nothing when it consumes: the broker is asked again
        shop = Client(bus, source="shop")
        jobs = [await shop.create("product-export") for _ in range(3)]
        assert await process.wait() == 0

    events = [json.loads(line) for line in written.read_text().splitlines()]
    assert {event["type"] for event in events} == {"batch.completed"}
    assert [event["subject"] for event in events] == jobs

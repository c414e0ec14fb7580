"""Triggers that wait for a job that does not come: how long, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
from random import Random

import pytest
import structlog

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, decode, encode
from batchbus_events.ids import derived_job_id
from batchbus_service import ledger
from batchbus_strategies import AnyContext, BatchStrategy
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World

JOB = derived_job_id("early", "one")


class Nothing(BatchStrategy[AnyContext]):
    identifier = "nothing-strategy"
    batch_type = "nothing"


async def _answered_after(outage: tuple[float, float] | None, *, crashes: bool = False) -> float:
    """When the confirmation of a job that never comes is answered, in seconds. `outage`: from when to when the broker is away."""
    random.seed(1)
    loop = asyncio.get_running_loop()
    async with (world := World(Random(1), lambda name: Nothing())).bus:
        await world.listen()
        process = await world.start_process()
        process.faults.chance = 0
        event = Event(type="batch.confirmed", source="/tests", id="one", subject=JOB, data={})
        await world.bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key=event.type))
        if outage:
            await asyncio.sleep(outage[0] - loop.time())
            process.bus.connected = False
            await asyncio.sleep(outage[1] - loop.time())
            process.bus.connected = True
        if crashes:
            await asyncio.sleep(300)
            await process.crash()
            (await world.start_process()).faults.chance = 0
        async with asyncio.timeout(86400):
            while not world.published or JOB in world.store.placeholders:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
        (rejected,) = [decode(message.body) for message in world.published]
        assert (rejected.type, rejected.causationid) == ("batch.rejected", "one")
        assert rejected.data["reason"] == "unknown_job"
        return loop.time()


@pytest.mark.parametrize(
    ("outage", "at"),
    [(None, 600), ((100, 500), 1100), ((550, 7200), 7800), ((599, 20_000), 20_600)],
    ids=["no outage", "an outage meanwhile", "an outage across the end", "an outage of hours"],
)
def test_a_trigger_whose_job_never_comes_is_rejected_after_ten_minutes_in_which_all_was_well(
    outage: tuple[float, float] | None, at: float
) -> None:
    with structlog.testing.capture_logs():
        assert at <= run_virtually(_answered_after(outage)) < at + 10


def test_a_process_that_starts_gives_what_waits_its_time_again() -> None:
    """It does not know what was away before: the job may still be in the queue."""
    with structlog.testing.capture_logs():
        assert 900 <= run_virtually(_answered_after(None, crashes=True)) < 910


def test_of_one_sender_so_many_triggers_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_OF_ONE_SENDER", 5)

    async def flood() -> tuple[int, list[str]]:
        random.seed(1)
        async with (world := World(Random(1), lambda name: Nothing())).bus:
            await world.listen()
            (await world.start_process()).faults.chance = 0
            for number in range(8):
                for source in ("/flood", "/shop") if number < 2 else ("/flood",):
                    job_id = derived_job_id(source, str(number))
                    event = Event(type="batch.canceled", source=source, id=f"{number}", subject=job_id, data={})
                    await world.bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key=event.type))
            await asyncio.sleep(1)
            return len(world.store.placeholders), [str(decode(told.body).causationid) for told in world.published]

    with structlog.testing.capture_logs():
        assert run_virtually(flood()) == (7, ["5", "6", "7"])

"""Many jobs at the same time over HTTP, while the broker is slow: each is published once, and none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import pytest

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.event import decode
from batchbus_events.topics import Binding, Queue
from tests.http.conftest import Person, Site
from tests.long import LONG
from tests.patience import PATIENCE

_JOBS: Final = 2000 if LONG else 200
_SIDE_BY_SIDE: Final = 50
_BROKER_TAKES: Final = 0.3
"""Seconds for each message: with so many at a time, far slower than the jobs come."""


async def test_jobs_that_are_posted_side_by_side_are_published_once_each(
    site: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, outbox = site.service.bus, site.service.transitions.outbox
    created, previewed, settled = Counter[str](), Counter[str](), asyncio.Event()

    async def note(delivery: Delivery) -> None:
        event = decode(delivery.message.body)
        (created if event.type == "batch.created" else previewed)[str(event.subject)] += 1
        await delivery.ack()

    bindings = [Binding(topics.EVENTS, f"batch.{event}.#") for event in ("created", "pre_processed")]
    everything = Queue(name="tests.flood", bindings=tuple(bindings))
    outbox.settled.connect(lambda jobs: settled.set())
    await bus.consume(everything, note, prefetch=1000)
    publish, one_at_a_time = bus.publish, asyncio.Semaphore(100)

    async def slowly(exchange: str, message: Message, *, mandatory: bool = False) -> None:
        async with one_at_a_time:
            await asyncio.sleep(_BROKER_TAKES)  # the broker's answer takes its time
            await publish(exchange, message, mandatory=mandatory)

    monkeypatch.setattr(bus, "publish", slowly)
    turn = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def post() -> str:
        async with turn:
            job = {"type": "planned", "context": {"rows": 1}, "dry_run": True}
            answer = await ann.http.post("/admin/batch-jobs", json=job)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["batch_job"]["id"])

    made = await asyncio.gather(*(post() for _ in range(_JOBS)))
    async with asyncio.timeout(2 * PATIENCE):
        while len(previewed) < _JOBS or outbox.backlog:
            settled.clear()
            await settled.wait()
    assert created == previewed == Counter(made)

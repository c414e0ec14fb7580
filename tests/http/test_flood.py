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
    bus, published, complete = site.service.bus, Counter[str](), asyncio.Event()

    async def note(delivery: Delivery) -> None:
        published[str(decode(delivery.message.body).subject)] += 1
        if len(published) == _JOBS:
            complete.set()
        await delivery.ack()

    everything = Queue(name="tests.flood", bindings=(Binding(topics.EVENTS, "batch.created.#"),))
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
        await complete.wait()
        while await site.database["jobs"].count_documents({"status": {"$ne": "pre_processed"}}):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while site.service.transitions.outbox.backlog:  # noqa: ASYNC110 - nothing tells when the last is out
            await asyncio.sleep(0.1)
    assert published == Counter(made)

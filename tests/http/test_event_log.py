"""`GET /admin/events/history`, and the client that reads it: the past that a broker's log no longer has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from batchbus_events.client import Client
from batchbus_events.history import History, HistoryUnavailable, HttpHistory
from batchbus_events.ids import new_job_id
from batchbus_service.access import Role
from batchbus_service.operations.replay.histories import JobHistories
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

BEFORE = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
async def olga(site: Site) -> Person:
    return await site.person("olga", Role.ADMIN)


@asynccontextmanager
async def in_this_process(site: Site, _: Person) -> AsyncIterator[History]:
    yield JobHistories(site.service.stores.histories)


@asynccontextmanager
async def over_http(site: Site, person: Person) -> AsyncIterator[History]:
    async with HttpHistory.open(site.url, token=person.token) as history:
        yield history


@pytest.fixture(params=[in_this_process, over_http], ids=lambda param: param.__name__)
async def history(request: pytest.FixtureRequest, site: Site, olga: Person) -> AsyncIterator[History]:
    opening: Callable[..., AsyncIterator[History]] = request.param
    async with opening(site, olga) as opened:  # type: ignore[attr-defined]
        yield opened


async def finished(person: Person, count: int) -> list[str]:
    """So many jobs that are completed."""
    rows = await person.upload(b"one\n")
    jobs = [(await person.create("rows", {"fileKey": rows}))["id"] for _ in range(count)]
    for job_id in jobs:
        await person.until(job_id, "batch.completed")
    return jobs


async def test_the_history_has_every_event_of_every_job_since_a_time(history: History, olga: Person) -> None:
    jobs = await finished(olga, 2)

    events = [event async for event in history.since(BEFORE)]

    for job_id in jobs:
        mine = [event for event in events if event.subject == job_id]
        assert [event.sequence for event in mine] == list(range(1, len(mine) + 1))
        assert mine[-1].type == "batch.completed"
        last = mine[-1].time
        assert last
        assert [event.id async for event in history.since(last) if event.subject == job_id] == [mine[-1].id]
    assert [event async for event in history.since(datetime.now(UTC) + timedelta(hours=1))] == []


async def test_the_history_of_one_job_begins_behind_a_sequence(history: History, olga: Person) -> None:
    job_id, _ = await finished(olga, 2)

    events = [event async for event in history.of_job(job_id)]

    assert {event.subject for event in events} == {job_id}
    assert [event async for event in history.of_job(job_id, after=2)] == events[2:]
    assert [event async for event in history.of_job(new_job_id())] == []


async def test_on_the_memory_bus_a_subscription_since_a_time_works_from_the_histories(
    site: Site, olga: Person, history: History
) -> None:
    jobs = await finished(olga, 1)
    client = Client(site.service.bus, source="tests", history=history)
    async with client.subscribe("batch.completed.#", since=BEFORE) as events, asyncio.timeout(PATIENCE):
        told = [(await anext(events)).subject]
        jobs += await finished(olga, 1)
        told.append((await anext(events)).subject)

    assert told == jobs


@pytest.mark.parametrize("query", ["", "?since=2024-01-01&job_id=batch_1", "?job_id=batch_1", "?since=yesterday"])
async def test_a_question_that_makes_no_sense_is_refused(olga: Person, query: str) -> None:
    assert (await olga.http.get(f"/admin/events/history{query}")).status_code == 400


async def test_the_history_of_all_jobs_is_for_operators(site: Site) -> None:
    member = await site.person("max")
    async with HttpHistory.open(site.url, token=member.token) as history:
        with pytest.raises(HistoryUnavailable, match="403"):
            await anext(history.since(BEFORE))


async def test_a_service_that_is_away_is_told_as_such() -> None:
    async with HttpHistory.open("http://127.0.0.1:1", token="any") as history:
        with pytest.raises(HistoryUnavailable):
            await anext(history.since(BEFORE))

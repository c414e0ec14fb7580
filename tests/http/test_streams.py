"""Server-sent events: history first, then live; resumed, replayed, and never held up by someone slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from batchbus_events.ids import new_job_id
from batchbus_service.http.live.feeds import LiveReader
from tests.http.conftest import Person, Site, read_until
from tests.patience import PATIENCE

LIFE = ["batch.created", "batch.pre_processed", "batch.confirmed", "batch.processing", "batch.completed"]


def _stored(events: list[ServerSentEvent]) -> list[tuple[str, str]]:
    return [(event.id, event.event) for event in events if event.event != "batch.progress"]


async def test_a_reader_who_comes_late_gets_the_history_first_and_then_what_happens(ann: Person, site: Site) -> None:
    gated = site.strategy("gated")
    job = await ann.create("gated")
    await asyncio.to_thread(gated.started.wait, 5)
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
        history = await read_until(events, "batch.processing")
        gated.go(3)
        live = await read_until(events, "batch.completed")
    assert _stored(history + live) == [(str(n), name) for n, name in enumerate(LIFE, start=1)]
    assert [event.json()["sequence"] for event in history + live if event.event in LIFE] == [1, 2, 3, 4, 5]
    progress = [event.json()["data"]["progress"] for event in live if event.event == "batch.progress"]
    assert progress == sorted(progress) and progress[-1] == 1


async def test_a_stream_ends_with_its_job(ann: Person) -> None:
    done = await ann.create("steps", {"steps": 3})
    failing = await ann.create("slow", {"steps": 1, "fail": "no use"})
    for job, last in ((done, "batch.completed"), (failing, "batch.failed")):
        async with asyncio.timeout(PATIENCE), ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
            assert [event.event async for event in events][-1] == last


async def test_the_stream_of_a_canceled_job_ends_when_its_run_has_stopped(ann: Person, site: Site) -> None:
    job = await ann.create("gated")
    await asyncio.to_thread(site.strategy("gated").started.wait, 5)
    async with asyncio.timeout(PATIENCE), ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
        await read_until(events, "batch.processing")
        await ann.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
        rest = [(event.event, event.json()["data"]["status"]) async for event in events if event.id]
    assert rest[-2:] == [("batch.canceled", "canceled"), ("batch.updated", "canceled")]


async def test_who_comes_back_to_a_job_that_is_over_is_told_not_to(ann: Person, olga: Person) -> None:
    job = await ann.create("slow", {"steps": 1, "fail": "no use"})
    path, last = f"/admin/batch-jobs/{job['id']}/events", (await ann.until(job["id"], "batch.failed"))[-1].id
    assert (await ann.http.get(path, headers={"last-event-id": last})).status_code == 204
    await olga.http.post(f"/admin/batch-jobs/{job['id']}/retry")
    async with ann.stream(path, **{"last-event-id": last}) as events:
        assert _stored(await read_until(events, "batch.failed"))[0] == (str(int(last) + 1), "batch.confirmed")


async def test_a_stream_says_how_it_is_to_be_treated(ann: Person) -> None:
    job = await ann.create("steps", {"steps": 1})
    answer = await ann.http.get(f"/admin/batch-jobs/{job['id']}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.startswith("retry: 2000\n")


async def test_nobody_follows_the_job_of_somebody_else(ann: Person, bob: Person, olga: Person) -> None:
    path = f"/admin/batch-jobs/{(await ann.create('steps', {'steps': 1}))['id']}/events"
    refused = await bob.http.get(path)
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")
    assert (await olga.http.get(path)).status_code == 200
    assert (await ann.http.get(f"/admin/batch-jobs/{new_job_id()}/events")).status_code == 404


async def test_a_reader_who_comes_back_gets_what_it_missed(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"x\n")})
    await ann.until(job["id"], "batch.completed")
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events", **{"last-event-id": "3"}) as events:
        missed = await read_until(events, "batch.completed")
    assert _stored(missed) == [("4", "batch.processing"), ("5", "batch.completed")]


async def test_an_event_that_the_subscription_missed_is_read_from_the_history(
    ann: Person, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
        await read_until(events, "batch.pre_processed")
        monkeypatch.setattr(LiveReader, "put", lambda reader, live: None)
        await ann.http.post(f"/admin/batch-jobs/{job['id']}/confirm")
        await asyncio.to_thread(site.strategy("gated").started.wait, 5)
        monkeypatch.undo()
        site.strategy("gated").go(3)
        later = await read_until(events, "batch.completed")
    assert _stored(later) == [("3", "batch.confirmed"), ("4", "batch.processing"), ("5", "batch.completed")]


async def test_strange_positions_are_refused(ann: Person, olga: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    for person, path in ((ann, f"/admin/batch-jobs/{job['id']}/events"), (olga, "/admin/events")):
        answer = await person.http.get(path, headers={"last-event-id": "yesterday"})
        assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")


async def test_a_pattern_chooses_among_the_events_of_all_jobs(ann: Person, olga: Person) -> None:
    async with olga.stream("/admin/events?pattern=batch.completed.rows.%23") as events:
        first = await ann.create("rows", {"fileKey": await ann.upload(b"x\n")})
        await ann.create("gated", dry_run=True)
        seen = await read_until(events, "batch.completed")
    assert [event.json()["subject"] for event in seen] == [first["id"]]


async def test_past_events_come_from_the_log(ann: Person, olga: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"x\n")})
    await ann.until(job["id"], "batch.completed")
    async with olga.stream(f"/admin/events?since={job['created_at']}") as events:
        seen = await read_until(events, "batch.completed")
    assert [event.event for event in seen] == LIFE
    async with olga.stream("/admin/events", **{"last-event-id": seen[2].id}) as events:
        assert [event.event for event in await read_until(events, "batch.completed")] == LIFE[3:]


async def test_a_stream_that_breaks_before_its_first_event_can_be_taken_up_all_the_same(
    ann: Person, olga: Person
) -> None:
    async with olga.http.stream("GET", "/admin/events") as answer:
        lines = answer.aiter_lines()
        place = await anext(line.removeprefix("id: ") async for line in lines if line.startswith("id: "))
    job = await ann.create("steps", {"steps": 1})
    await ann.until(job["id"], "batch.completed")
    async with olga.stream("/admin/events", **{"last-event-id": place}) as events:
        assert [event.event for event in await read_until(events, "batch.completed")] == LIFE


async def test_only_operators_see_the_events_of_all_jobs(ann: Person) -> None:
    assert (await ann.http.get("/admin/events")).status_code == 403
    assert (await ann.http.post("/admin/events", json={"type": "batch.created"})).status_code == 403


@pytest.mark.parametrize("pattern", ["", "batch..x", "batch completed", "\n"])
async def test_a_strange_pattern_is_refused(olga: Person, pattern: str) -> None:
    assert (await olga.http.get("/admin/events", params={"pattern": pattern})).status_code == 400


async def test_a_trigger_can_be_published(site: Site, olga: Person) -> None:
    job_id = new_job_id()
    trigger: dict[str, Any] = {"type": "batch.created", "subject": job_id, "data": {"type": "gated", "dry_run": True}}
    answer = await olga.http.post("/admin/events", json=trigger)
    assert answer.status_code == 202
    assert (await olga.until(job_id, "batch.pre_processed"))[0].json()["causationid"] == answer.json()["event"]["id"]
    assert (await olga.job(job_id))["created_by"] == f"bus:{olga.user.id}"


@pytest.mark.parametrize(
    "trigger",
    [
        {},
        {"type": "batch.completed"},
        {"type": "batch.created", "data": {"type": "a.b"}},
        {"type": "batch.created", "data": {}, "extra": 1},
        {"type": "batch.confirmed"},
        {"type": "batch.confirmed", "subject": "batch_x"},
    ],
)
async def test_a_trigger_that_could_not_be_used_is_refused(olga: Person, trigger: dict[str, Any]) -> None:
    answer = await olga.http.post("/admin/events", json=trigger)
    assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")


async def test_open_streams_do_not_hold_up_the_end_of_the_server(ann: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=True)
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
        await read_until(events, "batch.pre_processed")
        async with asyncio.timeout(PATIENCE):
            await site.api.feed.close()
            assert [event async for event in events] == []

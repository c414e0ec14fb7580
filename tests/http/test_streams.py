"""Server-sent events: history first, then live; resumed, replayed, and never held up by someone slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from batchbus_events.ids import new_job_id
from tests.http.conftest import PATIENCE, Person, Site, read_until

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
        reader = next(iter(site.api.feed._by_job[job["id"]]))
        monkeypatch.setattr(reader, "put", lambda live: None)
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

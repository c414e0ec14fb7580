"""Operators plan, run, pause, resume and abort replays over HTTP, and everyone of them sees who did what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from batchbus_events.topics import Queue
from tests.http.conftest import Person, Site
from tests.operations.replay.conftest import Subscriber
from tests.operations.replay.histories import finished_jobs
from tests.patience import PATIENCE

REASON = "the subscriber lost its database"


@pytest.fixture
async def subscriber(site: Site) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber(Queue(name="tests.billing", durable=False, exclusive=True))
    consumer = await site.service.bus.consume(subscriber.queue, subscriber, prefetch=100)
    yield subscriber
    await consumer.close()


@pytest.fixture
async def past(site: Site) -> int:
    await site.database["jobs"].insert_many(list(finished_jobs(20)))
    return 100


async def plan(person: Person, **more: Any) -> dict[str, Any]:
    body = {"destination": {"queue": "tests.billing"}, "reason": REASON, **more}
    response = await person.http.post("/admin/replays", json=body)
    assert response.status_code == 201, response.text
    replay: dict[str, Any] = response.json()["replay"]
    return replay


async def act(person: Person, replay: dict[str, Any], what: str, **body: Any) -> httpx.Response:
    return await person.http.post(f"/admin/replays/{replay['id']}/{what}", json=body)


async def done(site: Site, person: Person, replay: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    await site.service.replayer.until(replay["id"], lambda known: known.state == status, PATIENCE)
    found: dict[str, Any] = (await person.http.get(f"/admin/replays/{replay['id']}")).json()["replay"]
    assert found["status"] == status
    return found


async def test_a_replay_is_planned_run_and_kept_with_its_reason(
    site: Site, olga: Person, past: int, subscriber: Subscriber
) -> None:
    planned = await plan(olga, selection={"types": ["batch.completed"], "since": "2026-01-01T00:00:10Z"})
    assert (planned["status"], planned["plan"]["events"], planned["plan"]["by_type"]) == (
        *("planned", 14),
        {"batch.completed": 14},
    )
    assert planned["plan"]["effect_on_batchbus"].startswith("none")
    assert planned["selection"]["types"] == ["batch.completed"]

    assert (await act(olga, planned, "run")).json()["replay"]["status"] == "running"
    ended = await done(site, olga, planned)

    assert [event.type for event in await subscriber.got(14)] == ["batch.completed"] * 14
    assert (ended["published"], ended["created_by"], ended["reason"]) == (14, "olga@example.com", REASON)
    assert [(entry["by"], entry["what"]) for entry in ended["audit"]][:3:2] == [
        ("olga@example.com", "plan"),
        ("olga@example.com", "run"),
    ]
    listed = (await olga.http.get("/admin/replays")).json()
    assert (listed["count"], listed["replays"]) == (1, [ended])


async def test_what_is_for_everyone_has_to_be_confirmed(olga: Person, past: int) -> None:
    planned = await plan(olga, destination={"exchange": "batch.events"})

    refused = await act(olga, planned, "run")
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")
    assert "100 events to batch.events, and so to every subscriber" in refused.json()["message"]

    assert (await act(olga, planned, "run", confirm=True)).status_code == 200


async def test_a_replay_runs_once(site: Site, olga: Person, past: int, subscriber: Subscriber) -> None:
    planned = await plan(olga)

    answers = await asyncio.gather(*(act(olga, planned, "run") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]
    await done(site, olga, planned)
    assert len(await subscriber.got(past)) == past
    again = await act(olga, planned, "run")
    assert again.json()["message"] == "Cannot run a replay that is completed: it has ended; plan a new one."


async def test_a_replay_is_paused_resumed_and_aborted(
    site: Site, olga: Person, past: int, subscriber: Subscriber
) -> None:
    planned = await plan(olga, rate=4)
    await act(olga, planned, "run")
    await subscriber.got(1)
    assert (await act(olga, planned, "pause")).json()["replay"]["status"] == "paused"
    assert (await act(olga, planned, "resume", rate=8)).json()["replay"]["rate"] == 8
    assert (await act(olga, planned, "resume", rate=9)).json()["replay"]["rate"] == 9
    aborted = (await act(olga, planned, "abort")).json()["replay"]
    assert aborted["status"] == "aborted"
    whats = [entry["what"] for entry in aborted["audit"]]
    assert whats == ["plan", "planned", "run", "pause", "resume", "rate", "abort"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "destination: Field required, reason: Field required"),
        ({"destination": {}, "reason": REASON}, "destination: has to name a queue, or the exchange batch.events"),
        (
            {"destination": {"queue": "batchbus.triggers"}, "reason": REASON},
            "destination: batchbus.triggers is not a subscriber's: a replayed event never starts a job",
        ),
        (
            {"destination": {"queue": "a"}, "reason": REASON, "selection": {"types": ["batch.progress"], "x": 1}},
            "selection.types.0: batch.progress is no lifecycle event; they are batch.created, batch.pre_processed, "
            "batch.confirmed, batch.processing, batch.completed, batch.failed, batch.canceled, batch.updated, "
            "selection.x: should not exist",
        ),
        (
            {"destination": {"queue": "a"}, "reason": "", "rate": 0},
            "reason: String should have at least 3 characters, rate: Input should be greater than or equal to 1",
        ),
        (
            {
                "destination": {"queue": "a"},
                "reason": REASON,
                "selection": {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            },
            "selection: since has to be before until",
        ),
    ],
)
async def test_what_cannot_be_replayed_is_named(olga: Person, body: dict[str, Any], message: str) -> None:
    refused = await olga.http.post("/admin/replays", json=body)

    assert (refused.status_code, refused.json()) == (400, {"type": "invalid_data", "message": message})


async def test_replays_are_for_operators(ann: Person, olga: Person, past: int) -> None:
    planned = await plan(olga)

    assert (await ann.http.get("/admin/replays")).status_code == 403
    assert (await act(ann, planned, "run")).status_code == 403
    assert (await olga.http.get("/admin/replays/replay_1")).json() == {
        "type": "not_found",
        "message": "Replay with id replay_1 was not found",
    }

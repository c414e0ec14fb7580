"""A database that is reached and refuses: 503 from every route that needs it, ready again by itself, nothing given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from batchbus_events.topics import Queue
from batchbus_service.domain.settings import Settings
from tests.http.conftest import Person, Site
from tests.operations.replay.conftest import Subscriber
from tests.operations.replay.histories import finished_jobs
from tests.patience import PATIENCE
from tests.storage.refusing import CODES, RefusingServer


@pytest.fixture
def database(mongo_url: str) -> Iterator[RefusingServer]:
    with RefusingServer.to(mongo_url) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, database: RefusingServer) -> Settings:
    return settings.model_copy(update={"mongodb_url": database.url})


_JOB = "/admin/batch-jobs/batch_01M807P769WNYEX1Q0872DCAEY"
_REASON = {"reason": "the subscriber lost its database"}
_ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/admin/auth", {"email": "olga@example.com", "password": "long enough"}),
    ("POST", "/admin/auth/token", {"email": "olga@example.com", "password": "long enough"}),
    ("GET", "/admin/batch-jobs", None),
    ("POST", "/admin/batch-jobs", {"type": "gated", "context": {}}),
    *(("GET", f"{_JOB}{below}", None) for below in ("", "/history", "/plan", "/errors", "/events")),
    *(("POST", f"{_JOB}/{what}", {}) for what in ("confirm", "cancel", "retry")),
    ("POST", "/admin/uploads/download-url", {"file_key": "nobody-knows.csv"}),
    ("DELETE", "/admin/uploads", {"file_key": "nobody-knows.csv"}),
    ("GET", "/uploads/nobody-knows.csv", None),
    ("GET", "/admin/events/history?since=2026-01-01T00:00:00Z", None),
    ("GET", "/admin/parked", None),
    ("GET", "/admin/parked/0000", None),
    *(("POST", f"/admin/parked/{what}", _REASON) for what in ("requeue", "discard", "0000/requeue", "0000/discard")),
    ("POST", "/admin/replays", {"destination": {"queue": "tests.billing"}, **_REASON}),
    ("GET", "/admin/replays", None),
    ("GET", "/admin/replays/replay_01M807P769WNYEX1Q0872DCAEY", None),
    *(
        ("POST", f"/admin/replays/replay_01M807P769WNYEX1Q0872DCAEY/{what}", {"confirm": True} if what == "run" else {})
        for what in ("run", "pause", "resume", "abort")
    ),
    ("GET", "/admin/tokens", None),
    ("POST", "/admin/tokens", {"user": "olga@example.com"}),
    ("DELETE", "/admin/tokens/tok_01M807P769WNYEX1Q0872DCAEY", None),
    ("GET", "/admin/users", None),
    ("POST", "/admin/users", {"email": "new@example.com"}),
    *(
        (method, "/admin/users/usr_01M807P769WNYEX1Q0872DCAEY", {"role": "admin"})
        for method in ("POST", "DELETE", "GET")
    ),
]
"""Every route that asks the database for something, with a request that comes so far."""
_ALL = ("jobs", "users", "tokens", "sessions", "logins", "uploads", "replays", "parked")


async def test_whatever_the_database_refuses_is_503_on_every_route(
    site: Site, ann: Person, olga: Person, database: RefusingServer
) -> None:
    codes = cycle(CODES)
    for refused in _ALL, ("jobs", "sessions", "logins", "uploads", "replays", "parked"):
        database.refuse_collections(*refused)
        for method, path, body in _ROUTES:
            database.code = next(codes)
            # Whose a file is has to be looked up only for those who may not have them all.
            person = ann if path.startswith("/admin/uploads") else olga
            answer = await person.http.request(method, path, json=body)
            asked_for = (refused, method, path, answer.status_code, answer.text)
            of_accounts = path.startswith(("/admin/users", "/admin/tokens"))
            if refused is _ALL or not of_accounts:
                assert answer.status_code == 503, asked_for
                assert answer.json() == {
                    "type": "unavailable",
                    "message": f"The database refuses: {CODES[database.code]}",
                }
            else:
                assert answer.status_code < 500, asked_for


async def test_a_read_only_server_lets_read_and_is_not_ready(
    site: Site, olga: Person, database: RefusingServer
) -> None:
    stranger = await site.client()
    database.code = 20
    database.refuse_writes()
    assert (await olga.http.get("/admin/batch-jobs")).status_code == 200
    ready = await stranger.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "The database refuses: IllegalOperation"
    database.refuse_nothing()
    again = await stranger.get("/health/ready")
    assert (again.status_code, again.json()["checks"]["database"]) == (200, "ok")


async def test_no_file_is_kept_that_cannot_be_noted_down(site: Site, ann: Person, database: RefusingServer) -> None:
    database.refuse_collections("uploads")
    answer = await ann.http.post("/admin/uploads", files={"files": ("a.csv", b"x")})
    assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")
    assert [path for path in (site.service.settings.data_dir / "files").rglob("*") if path.is_file()] == []


async def test_a_replay_outlives_a_refused_call(site: Site, olga: Person, database: RefusingServer) -> None:
    await site.database["jobs"].insert_many(list(finished_jobs(20)))
    subscriber = Subscriber(Queue(name="tests.billing", durable=False, exclusive=True))
    consumer = await site.service.bus.consume(subscriber.queue, subscriber, prefetch=100)
    try:
        database.refuse_collections("jobs")
        planning = asyncio.create_task(
            olga.http.post("/admin/replays", json={"destination": {"queue": "tests.billing"}, **_REASON})
        )
        async with asyncio.timeout(PATIENCE):
            await asyncio.to_thread(database.refused.wait)
        database.refuse_nothing()
        replay = (await planning).json()["replay"]
        assert (replay["status"], replay["plan"]["events"]) == ("planned", 100)
    finally:
        await consumer.close()

"""A database that is reached and refuses: 503 from every route that needs it, ready again by itself, nothing given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from pymongo.synchronous import command_runner

from batchbus_events.topics import Queue
from batchbus_service.engine import readiness
from tests.http.conftest import Person, Site
from tests.operations.replay.conftest import Subscriber
from tests.operations.replay.histories import finished_jobs

_NAMES = {
    1: "InternalError",
    13: "Unauthorized",
    8000: "AtlasError",
    20: "IllegalOperation",
    14031: "OutOfDiskSpace",
}


@dataclass
class Refusing:
    """What the database refuses, while it does."""

    code: int = 13
    what: Callable[[Mapping[str, Any], str], bool] | None = None
    """By the command and the database; None: nothing."""
    refused: threading.Event = field(default_factory=threading.Event)
    """Set once it has."""

    def collections(self, *names: str) -> None:
        self.what = lambda command, _: next(iter(command.values())) in names

    def writes(self) -> None:
        self.what = lambda command, _: next(iter(command)) in ("insert", "update", "delete", "createIndexes")


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    refusing = Refusing()
    carry_out = command_runner._run_command

    def run_command(conn: Any, cmd: Any, dbname: str, *rest: Any, **more: Any) -> Any:
        if refusing.what and refusing.what(cmd, dbname):
            refusing.refused.set()
            name = _NAMES[refusing.code]
            raise OperationFailure(f"refused: {name}", refusing.code, {"codeName": name, "code": refusing.code})
        return carry_out(conn, cmd, dbname, *rest, **more)

    monkeypatch.setattr(command_runner, "_run_command", run_command)
    yield refusing
    refusing.what = None


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
_NO_DATABASE = {"/uploads/nobody-knows.csv"}
"""What is refused before the database is asked: the link is not signed."""


async def test_whatever_the_database_refuses_is_503_on_every_route(
    site: Site, ann: Person, olga: Person, database: Refusing
) -> None:
    codes = cycle(_NAMES)
    for refused in _ALL, ("jobs", "sessions", "logins", "uploads", "replays", "parked"):
        database.collections(*refused)
        for method, path, body in _ROUTES:
            database.code = next(codes)
            # Whose a file is has to be looked up only for those who may not have them all.
            person = ann if path.startswith("/admin/uploads") else olga
            answer = await person.http.request(method, path, json=body)
            asked_for = (refused, method, path, answer.status_code, answer.text)
            of_accounts = path.startswith(("/admin/users", "/admin/tokens"))
            if path in _NO_DATABASE:
                assert answer.status_code in (401, 403, 404), asked_for
            elif refused is _ALL or not of_accounts:
                assert answer.status_code == 503, asked_for
                assert answer.json() == {
                    "type": "unavailable",
                    "message": f"The database refuses: {_NAMES[database.code]}",
                }
            else:
                assert answer.status_code < 500, asked_for


async def test_a_read_only_server_lets_read_and_is_not_ready(
    site: Site, olga: Person, database: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_WRITE_EVERY", 0.0)
    stranger = await site.client()
    assert (await stranger.get("/health/ready")).json()["checks"]["database"] == "ok"
    database.code = 20
    database.writes()
    assert (await olga.http.get("/admin/batch-jobs")).status_code == 200
    ready = await stranger.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "The database refuses: IllegalOperation"
    database.what = None
    assert (await stranger.get("/health/ready")).status_code == 200


async def test_a_replay_outlives_a_refused_call(site: Site, olga: Person, database: Refusing) -> None:
    await site.database["jobs"].insert_many(list(finished_jobs(20)))
    subscriber = Subscriber(Queue(name="tests.billing", durable=False, exclusive=True))
    consumer = await site.service.bus.consume(subscriber.queue, subscriber, prefetch=100)
    try:
        database.collections("jobs")
        planning = asyncio.create_task(
            olga.http.post("/admin/replays", json={"destination": {"queue": "tests.billing"}, **_REASON})
        )
        await asyncio.to_thread(database.refused.wait)
        database.what = None
        replay = (await planning).json()["replay"]
        assert (replay["status"], replay["plan"]["events"]) == ("planned", 100)
    finally:
        await consumer.close()

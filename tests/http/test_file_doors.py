"""Every file of every kind is asked for by everyone, through every route and every trigger: docs/access.md says who gets it.

Each file has a secret in it. Whatever a stranger asks, the secret is in no answer, in no event, and in no job of theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from batchbus_events.catalog import TRIGGERS
from batchbus_events.ids import new_job_id
from batchbus_service.access import Role
from batchbus_service.app.api import make_api
from batchbus_service.app.bootstrap import open_service
from batchbus_service.domain.job import Status
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving
from tests.docs.tables import table_of
from tests.engine.broker import Broker, trigger
from tests.events.vouching import VouchingBus
from tests.http.conftest import Person, Site

SECRET: Final = "bad-secret-of-somebody"
CSV: Final = f"Email;Country Code\n{SECRET}@example.com;gb\nwrong@example.com;{SECRET}\n"
TABLE: Final = table_of("docs/access.md", "file")
OVER_HTTP: Final = ("who uploaded it or made the job", "another member", "an operator", "nobody")
ON_THE_BUS: Final = {"shop": "shop", "billing": "billing", "unvouched": None, "operator on the bus": "ops"}
NOT_ASKED: Final = {("delete", "/admin/uploads"), ("post", "/admin/uploads/grants")}
"""Routes that change what belongs to a file: they have tests of their own, below."""


@dataclass
class World:
    site: Site
    broker: Broker
    people: Mapping[str, Person | None]
    keys: Mapping[str, str]
    """The keys of the files, by the rows of the table."""
    anns_job: str

    async def client(self, name: str) -> httpx.AsyncClient:
        person = self.people[name]
        return person.http if person else await self.site.client()


@pytest.fixture
async def world(settings: Settings, open_stack: AsyncExitStack) -> World:
    more = {"bus_operators": ["ops"], "bus_files": {"shop": ["feeds/shop/*"]}}
    bus = await open_stack.enter_async_context(VouchingBus())
    service = await open_stack.enter_async_context(open_service(settings.model_copy(update=more), bus=bus))
    sock = listen("127.0.0.1", 0)
    api = await open_stack.enter_async_context(serving(make_api(service), sock))
    site = Site(service, api, f"http://127.0.0.1:{sock.getsockname()[1]}", open_stack)
    broker = Broker(service, bus)
    ann, bob = await site.person("ann"), await site.person("bob")
    olga = await site.person("olga", Role.ADMIN)
    people = dict(zip(OVER_HTTP, (ann, bob, olga, None), strict=True))
    keys, job_id = await _files(site, broker, ann)
    return World(site, broker, people, keys, job_id)


@pytest.fixture
async def open_stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def _files(site: Site, broker: Broker, ann: Person) -> tuple[dict[str, str], str]:
    """One file of each kind, and the job of Ann that made some of them."""
    files = site.service.files
    job = await ann.create("customer-import", {"fileKey": await ann.upload(CSV.encode(), "a.csv"), "on_error": "skip"})
    await ann.until(job["id"], "batch.completed")
    left = (await ann.job(job["id"]))["result"]["files"]
    row_errors = [key async for key, _ in files.listed(f"errors/{job['id']}/")]
    public = await ann.http.post("/admin/uploads", files={"files": ("rows.txt", SECRET.encode())})
    granted = await ann.upload(SECRET.encode())
    answer = await ann.http.post("/admin/uploads/grants", json={"file_key": granted, "services": ["shop"]})
    assert (answer.status_code, answer.json()) == (200, {"file_key": granted, "services": ["shop"]})
    keys = {
        "a protected upload": await ann.upload(SECRET.encode()),
        "a protected upload that is granted to `shop`": granted,
        "a public upload": public.json()["uploads"][0]["key"],
        "the result of a user's job": await _exported(site, ann),
        "the result of a job of `shop`": await _exported_on_the_bus(broker),
        "the plan of a user's job": left["PLAN"],
        "the outcome of a user's job": left["OUTCOME"],
        "the error file of a user's job": left["ERRORS"],
        "row errors of a user's job": row_errors[0],
        "a parked message": "parked/parked_x",
        "a file put there by other means": "feeds/other.txt",
        "a file put there by other means that the settings grant to `shop`": "feeds/shop/rows.txt",
    }
    for kind, key in keys.items():
        if "result" in kind or key.startswith(("parked/", "feeds/")):
            async with files.write(key) as file:
                await file.write(f"{SECRET}\n".encode())
        assert SECRET.encode() in b"".join([piece async for piece in files.read(key)]), kind
    return keys, job["id"]


async def _exported(site: Site, ann: Person) -> str:
    job = await ann.create("product-export")
    await ann.until(job["id"], "batch.completed")
    key: str = (await ann.job(job["id"]))["result"]["file_key"]
    return key


async def _exported_on_the_bus(broker: Broker) -> str:
    job_id = new_job_id()
    assert await broker.publish("shop", trigger("created", job_id, type="product-export")) is None
    job = await broker.until(job_id, Status.COMPLETED)
    assert job.result is not None and job.result.file_key is not None
    return job.result.file_key


def test_every_kind_of_file_and_everyone_is_in_the_table() -> None:
    assert {column for row in TABLE.values() for column in row} == {*OVER_HTTP, *ON_THE_BUS}
    assert {cell for row in TABLE.values() for cell in row.values()} == {"yes", "no"}


async def test_over_http_a_file_is_for_those_to_whom_it_is_granted(world: World) -> None:
    assert world.keys.keys() == TABLE.keys()
    for kind, row in TABLE.items():
        for name in OVER_HTTP:
            got = await _fetched(await world.client(name), world.keys[kind])
            assert got == (row[name] == "yes"), (kind, name)
            if name != "nobody":
                assert await _carried_out(await world.client(name), world.keys[kind]) == got, (kind, name)


async def _fetched(client: httpx.AsyncClient, key: str) -> bool:
    """Whether the client gets the content, by a link of its own or by the plain address."""
    plain = await client.get(f"/uploads/{key}")
    linked = await client.post("/admin/uploads/download-url", json={"file_key": key})
    if linked.status_code == 200:
        return SECRET in (await client.get(linked.json()["download_url"])).text
    return SECRET in plain.text


async def _carried_out(client: httpx.AsyncClient, key: str) -> bool:
    """Whether a job may name the file, as what its type reads or anywhere else, and another time when it is checked again."""
    hidden = {"files": [{"mapping": key}]}
    ours = not key.startswith("feeds/")  # what is no key of ours is a file where a strategy reads it as one
    asked = [("rows", {"fileKey": key}), *([("gated", hidden)] if ours else [])]
    answers = [
        await client.post("/admin/batch-jobs", json={"type": kind, "context": context, "dry_run": True})
        for kind, context in asked
    ]
    upload = await client.post("/admin/uploads/protected", files={"files": ("rows.txt", b"one\n")})
    own = {"fileKey": upload.json()["uploads"][0]["key"]}
    job = (await client.post("/admin/batch-jobs", json={"type": "rows", "context": own, "dry_run": True})).json()
    again = await client.post(f"/admin/batch-jobs/{job['batch_job']['id']}/check-again", json={"fileKey": key})
    refused = {answer.json().get("message") for answer in answers if answer.status_code >= 300}
    denied = f"fileKey: There is no file with the key {key}"
    assert refused <= {denied, f"files.0.mapping: There is no file with the key {key}"}, refused
    # Whether the job can be checked again now is another matter, which comes after that of the file.
    done = {answer.status_code < 300 for answer in answers} | {again.json().get("message") != denied}
    assert len(done) == 1, (key, [answer.text for answer in (*answers, again)])
    return done.pop()


async def test_no_route_gives_a_stranger_what_is_in_a_file_of_somebody_else(world: World) -> None:
    paths: dict[str, dict[str, Any]] = (await (await world.site.client()).get("/openapi.json")).json()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods if method != "options"]
    asked = sorted(route for route in routes if route not in NOT_ASKED and not route[1].startswith("/health"))
    assert len(asked) > 40
    for name in ("another member", "nobody"):
        client = await world.client(name)
        secrets = {kind: key for kind, key in world.keys.items() if TABLE[kind][name] == "no"}
        for method, path in asked:
            keys = secrets.values() if "{key}" in path or method == "post" else list(secrets.values())[:1]
            for key in keys:
                text = await _answer(client, method, path, key, world.anns_job)
                assert SECRET not in text, (name, method, path, key)
    for kind, key in world.keys.items():
        assert await world.site.api.file_access.size(key) is not None, f"{kind} is gone"


async def _answer(client: httpx.AsyncClient, method: str, path: str, key: str, job_id: str) -> str:
    """What a route answers that is given the key, and the job, wherever it takes something."""
    path = path.replace("{key}", key).replace("{id}", job_id).replace("{type}", "rows")
    body = {"file_key": key, "fileKey": key, "type": "rows", "context": {"fileKey": key}}
    narrow = {"file_key": key} if "uploads" in path else {"fileKey": key} if "check-again" in path else body
    content = None if method == "get" else narrow
    async with client.stream(method, path, params={"key": key} if method == "get" else None, json=content) as answer:
        if "event-stream" in answer.headers.get("content-type", ""):
            return ""  # of one's own jobs, or of all for operators: neither is the stranger's
        return (await answer.aread()).decode(errors="replace")


async def test_on_the_bus_a_file_is_for_those_to_whom_it_is_granted(world: World) -> None:
    for kind, row in TABLE.items():
        for name, user in ON_THE_BUS.items():
            key, granted = world.keys[kind], row[name] == "yes"
            assert await _read_by_a_job(world.broker, user, "rows", {"fileKey": key}, key) == granted, (kind, name)
            if not key.startswith("feeds/"):
                hidden = {"rows": 0, "more": [{"mapping": key}]}
                assert await _read_by_a_job(world.broker, user, "planned", hidden, key) == granted, (kind, name)
            for word in ("confirmed", "canceled"):
                about = trigger(word, world.anns_job, reason=key)
                assert await world.broker.publish(user, about) == "not_allowed"
    assert {f"batch.{word}" for word in ("created", "confirmed", "canceled")} == TRIGGERS.keys()


async def _read_by_a_job(broker: Broker, user: str | None, kind: str, context: dict[str, Any], key: str) -> bool:
    """Whether the job that names the file gets to work; else it fails before its strategy has seen anything."""
    event = trigger("created", job_id := new_job_id(), type=kind, context=context)
    before = len(broker.bus.events)
    await broker.publish(user, event)
    done, failed = await broker.ended(job_id)
    if done:
        return True
    assert failed is not None and f"There is no file with the key {key} that " in failed, failed
    told = [event for event in broker.bus.events[before:] if event.subject == job_id]
    assert [event.type for event in told] == ["batch.created", "batch.failed"]
    assert SECRET not in str(told) + str(await broker.job(job_id))
    return False


async def test_only_who_has_uploaded_a_file_grants_it(world: World) -> None:
    ann, bob, olga = (world.people[name] for name in OVER_HTTP[:3])
    assert ann and bob and olga
    key = await ann.upload(b"one\n")
    asked: dict[str, Any] = {"file_key": key, "services": ["billing"]}
    for stranger, its in ((bob, key), (ann, "feeds/other.txt"), (ann, "../x"), (bob, world.keys["a public upload"])):
        refused = await stranger.http.post("/admin/uploads/grants", json={**asked, "file_key": its})
        assert (refused.status_code, refused.json()["message"]) == (404, f"There is no upload with the key {its}")
    context = {"fileKey": key}
    assert not await _read_by_a_job(world.broker, "billing", "rows", context, key)
    for owner, services, granted in ((ann, ["billing", "shop"], True), (olga, [], False)):
        answer = await owner.http.post("/admin/uploads/grants", json={"file_key": key, "services": services})
        assert answer.json() == {"file_key": key, "services": services}
        assert await _read_by_a_job(world.broker, "billing", "rows", context, key) == granted
    for wrong in ("billing", [7], [""], ["x" * 300], ["unvouched:shop"], ["x"] * 101):
        refused = await ann.http.post("/admin/uploads/grants", json={**asked, "services": wrong})
        assert (refused.status_code, refused.json()["type"]) == (400, "invalid_data"), wrong

"""Who may do what: the scope that every route needs, and whose jobs and files are whose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

from batchbus_events.ids import new_job_id
from batchbus_service.access import Role, Scope
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.connections import HttpTimeouts
from tests.docs.tables import table_of
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

TABLE: Final = {
    (method.lower(), path): row["what it needs"]
    for route, row in table_of("docs/access.md", "route over HTTP").items()
    for method, _, path in [route.partition(" ")]
}
"""What each route needs, as the documentation has it."""
SIGNING_IN: Final = {route for route, needed in TABLE.items() if needed == "a password"}
"""Routes for those who have no credential yet."""
ANY_CREDENTIAL: Final = {route for route, needed in TABLE.items() if needed == "any credential"}
PASSWORD: Final = "a password of four words"
NOT_YOURS: Final = "Cannot access a batch job that does not belong to the logged in user"

Route = tuple[str, str]
Open = Callable[..., Any]


async def _routes(site: Site) -> list[Route]:
    """Every route under `/admin`, as the server describes itself."""
    stranger = await site.client()
    paths: dict[str, dict[str, Any]] = (await stranger.get("/openapi.json")).json()["paths"]
    return [
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/admin/") and method != "options"
    ]


async def test_every_route_is_in_the_table_of_the_documentation(site: Site) -> None:
    stranger = await site.client()
    paths: dict[str, dict[str, Any]] = (await stranger.get("/openapi.json")).json()["paths"]
    there = {(method, path) for path, methods in paths.items() for method in methods if method != "options"}
    assert there == TABLE.keys(), "each route has a row in docs/access.md, and each row a route"


async def _asked(client: httpx.AsyncClient, route: Route, **names: str) -> tuple[int, dict[str, str]]:
    """The status and, of a refusal, the body; a stream of events is left as soon as it has begun."""
    method, path = route
    for name in ("id", "type"):
        path = path.replace(f"{{{name}}}", names.get(name, "none"))
    async with client.stream(method, path) as answer:
        refused = answer.status_code >= 400
        await (answer.aread() if refused else answer.aclose())
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if refused and is_json else {}


async def test_every_route_needs_its_scope_and_no_other(site: Site) -> None:
    only = {scope: (await site.person(scope.name, Role.ADMIN, scopes={scope})).http for scope in Scope}
    routes = set(await _routes(site)) - SIGNING_IN - ANY_CREDENTIAL
    assert len(routes) > 15
    for route in sorted(routes):
        needed = TABLE[route]
        for scope, client in only.items():
            status, body = await _asked(client, route)
            if scope == needed:
                assert status not in (401, 403), (route, scope, body)
            else:
                message = f"This needs the scope {needed}, which your credential does not have"
                assert (status, body) == (403, {"type": "not_allowed", "message": message}), (route, scope)


async def test_every_kind_of_credential_of_every_role_allows_what_the_table_says(site: Site) -> None:
    routes = sorted(set(await _routes(site)) - SIGNING_IN - ANY_CREDENTIAL)
    for role in Role:
        login = {"email": f"{role}@example.com", "password": PASSWORD}
        await site.person(role, role, password=PASSWORD)
        bearer = (await (await site.client()).post("/admin/auth/token", json=login)).json()["access_token"]
        browser = await site.client()
        assert (await browser.post("/admin/auth", json=login)).status_code == 200
        for kind, client in (("bearer", await site.client(authorization=f"Bearer {bearer}")), ("session", browser)):
            allowed = {route for route in routes if (await _asked(client, route))[0] not in (401, 403)}
            assert allowed == {route for route in routes if TABLE[route] in role.scopes}, (role, kind)


async def test_no_route_lets_a_stranger_in(site: Site) -> None:
    stranger = await site.client()
    for route in sorted(set(await _routes(site)) - SIGNING_IN):
        assert (await _asked(stranger, route))[0] == 401, route


async def test_whoever_is_known_may_ask_who_they_are(site: Site) -> None:
    nobody = await site.person("nobody", scopes=set())
    assert (await nobody.http.get("/admin/auth")).json()["user"]["id"] == nobody.user.id


def _of_a_job(routes: list[Route]) -> Iterator[Route]:
    return (route for route in sorted(routes) if route[1].startswith("/admin/batch-jobs/{id}"))


async def test_a_member_gets_at_somebody_elses_job_by_no_route(site: Site, ann: Person, bob: Person) -> None:
    job = await ann.create("slow", dry_run=True)
    before = (await ann.until(job["id"], "batch.pre_processed"), await ann.job(job["id"]))[1]
    routes = list(_of_a_job(await _routes(site)))
    assert len(routes) >= 6
    for route in routes:
        refusal = await _asked(bob.http, route, id=job["id"])
        assert refusal == (400, {"type": "not_allowed", "message": NOT_YOURS}), route
    assert await ann.job(job["id"]) == before
    listed = await bob.http.get("/admin/batch-jobs", params={"id[]": job["id"], "expand": "created_by_user"})
    assert (listed.json()["batch_jobs"], listed.json()["count"]) == ([], 0)


async def test_a_member_gets_at_no_job_that_was_made_over_the_bus(site: Site, ann: Person, olga: Person) -> None:
    job_id = new_job_id()
    trigger = {"type": "batch.created", "subject": job_id, "data": {"type": "slow", "created_by": ann.user.id}}
    assert (await olga.http.post("/admin/events", json=trigger)).status_code == 202
    assert (await olga.job(job_id))["created_by"] == f"bus:{ann.user.id}"
    for route in _of_a_job(await _routes(site)):
        assert (await _asked(ann.http, route, id=job_id))[0] == 400, route


async def test_an_operator_sees_and_touches_everyones_jobs(site: Site, ann: Person, olga: Person) -> None:
    job = await ann.create("slow", dry_run=True)
    await olga.until(job["id"], "batch.pre_processed")
    for route in _of_a_job(await _routes(site)):
        status, body = await _asked(olga.http, route, id=job["id"])
        assert body.get("message") != NOT_YOURS and status != 401, (route, body)
    listed = await olga.http.get("/admin/batch-jobs", params={"id[]": job["id"]})
    assert listed.json()["count"] == 1


async def test_an_operator_with_a_token_for_less_sees_their_own_jobs_alone(site: Site, ann: Person) -> None:
    otto = await site.person("otto", Role.ADMIN, scopes={Scope.JOBS_READ, Scope.JOBS_WRITE})
    job = await ann.create("slow")
    assert (await otto.http.get(f"/admin/batch-jobs/{job['id']}")).status_code == 400
    assert (await otto.http.get("/admin/batch-jobs")).json()["count"] == 0


async def test_a_stream_of_events_ends_when_its_readers_credential_does(settings: Settings, open_site: Open) -> None:
    site = await open_site(settings, timeouts=HttpTimeouts(trust=0))
    ann, olga = await site.person("ann"), await site.person("olga", Role.ADMIN)
    job = await ann.create("slow", {"steps": 5000})
    endless = ((ann, f"/admin/batch-jobs/{job['id']}/events"), (olga, "/admin/events?since=2020-01-01"))
    for person, path in endless:
        async with person.stream(path) as events:
            await anext(events)
            (token,) = (await site.api.users.tokens.page(user_id=person.user.id, offset=0, limit=10))[0]
            await site.api.users.tokens.revoke(token.id)
            async with asyncio.timeout(PATIENCE):
                told = [event.event async for event in events]
        assert "batch.completed" not in told
        assert (await person.http.get(path)).status_code == 401


async def test_an_export_is_for_whoever_made_the_job(site: Site, ann: Person, bob: Person, olga: Person) -> None:
    job = await ann.create("product-export")
    await ann.until(job["id"], "batch.completed")
    asked = {"file_key": (await ann.job(job["id"]))["result"]["file_key"]}
    links = {
        person.user.email: await person.http.post("/admin/uploads/download-url", json=asked)
        for person in (ann, bob, olga)
    }
    assert {email: link.status_code for email, link in links.items()} == {
        "ann@example.com": 200,
        "bob@example.com": 404,
        "olga@example.com": 200,
    }
    stranger = await site.client()
    assert (await stranger.get(links["ann@example.com"].json()["download_url"])).status_code == 200
    assert (await stranger.get(f"/uploads/{asked['file_key']}")).status_code == 404
    refused = await bob.http.request("DELETE", "/admin/uploads", json=asked)
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")
    assert (await ann.http.request("DELETE", "/admin/uploads", json=asked)).status_code == 200


async def test_whose_job_made_a_file_is_asked_of_an_index(site: Site) -> None:
    plan = await site.database["jobs"].find({"result.file_key": "exports/x.csv"}).explain()
    assert "'files'" in str(plan), plan


async def test_no_job_reads_a_file_of_somebody_else(ann: Person, bob: Person, olga: Person) -> None:
    key = await ann.upload("Ünique rows\n".encode(), "Ü.txt")
    body = {"type": "rows", "context": {"fileKey": key}}
    refused = await bob.http.post("/admin/batch-jobs", json=body)
    assert (refused.status_code, refused.json()["type"]) == (400, "invalid_data")
    assert refused.json()["message"] == f"fileKey: There is no file with the key {key}"
    otherwise = {**body, "context": {"fileKey": key.replace("Ü", "U\u0308")}}
    assert (await bob.http.post("/admin/batch-jobs", json=otherwise)).status_code == 400
    for person in (ann, olga):
        assert (await person.http.post("/admin/batch-jobs", json=body)).status_code == 201


async def test_a_job_may_read_a_public_file_of_somebody_else(ann: Person, bob: Person) -> None:
    answer = await ann.http.post("/admin/uploads", files={"files": ("rows.txt", b"one\n")})
    await bob.create("rows", {"fileKey": answer.json()["uploads"][0]["key"]})


async def test_a_file_is_denied_by_every_door_unless_it_is_granted(
    site: Site, ann: Person, bob: Person, olga: Person
) -> None:
    planned = await ann.create("planned", {"rows": 2}, dry_run=True)
    await ann.until(planned["id"], "batch.pre_processed")
    plan = (await ann.job(planned["id"]))["result"]["steps"]
    exported = await ann.create("product-export")
    await ann.until(exported["id"], "batch.completed")
    result = (await ann.job(exported["id"]))["result"]["file_key"]
    for nobodys in ("errors/batch_x/process-1-1.jsonl", "parked/x", "catalogue.csv"):
        async with site.service.files.write(nobodys) as file:
            await file.write(b"not for members\n")
    public = (await ann.http.post("/admin/uploads", files={"files": ("rows.txt", b"one\n")})).json()["uploads"][0][
        "key"
    ]
    everyone = (ann, bob, olga)
    granted = {
        await ann.upload(b"one\n"): (ann, olga),
        public: everyone,
        result: (ann, olga),
        plan: (olga,),
        "errors/batch_x/process-1-1.jsonl": (olga,),
        "parked/x": (olga,),
        "catalogue.csv": (olga,),
        "plans/that-is-not-there.jsonl": (olga,),
        "../outside": (),
    }
    for key, readers in granted.items():
        for person in everyone:
            context = {"fileKey": key}
            created = await person.http.post(
                "/admin/batch-jobs", json={"type": "rows", "context": context, "dry_run": True}
            )
            linked = await person.http.post("/admin/uploads/download-url", json={"file_key": key})
            there = key not in ("plans/that-is-not-there.jsonl", "../outside")
            assert (created.status_code == 201) == (person in readers and there), (key, person.user.email, created.text)
            assert (linked.status_code == 200) == (person in readers and there), (key, person.user.email)
            if person not in readers and person is not olga:
                assert created.json()["message"] == f"fileKey: There is no file with the key {key}"
            if key != "catalogue.csv":  # which no one but an operator can have put there
                hidden = {"files": [{"mapping": key}]}
                named = await person.http.post(
                    "/admin/batch-jobs", json={"type": "gated", "context": hidden, "dry_run": True}
                )
                assert (named.status_code == 201) == (person in readers or key == "../outside"), (
                    key,
                    person.user.email,
                )


async def test_only_ones_own_files_can_be_deleted(ann: Person, bob: Person) -> None:
    answer = await ann.http.post("/admin/uploads", files={"files": ("rows.txt", b"one\n")})
    asked = {"file_key": answer.json()["uploads"][0]["key"]}
    assert (await bob.http.request("DELETE", "/admin/uploads", json=asked)).status_code == 400
    assert (await ann.http.request("DELETE", "/admin/uploads", json=asked)).status_code == 200


async def test_a_strategy_says_which_fields_name_files_and_those_are_protected(site: Site, bob: Person) -> None:
    async with site.service.files.write("catalogue.csv") as file:
        await file.write(b"not for members\n")
    body = {"type": "planned", "context": {"rows": 1, "source": "catalogue.csv"}, "dry_run": True}
    refused = await bob.http.post("/admin/batch-jobs", json=body)
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "source: There is no file with the key catalogue.csv",
    )
    body["context"] = {"rows": 1, "source": await bob.upload(b"one\n")}
    assert (await bob.http.post("/admin/batch-jobs", json=body)).status_code == 201
    types = (await bob.http.get("/admin/batch-types")).json()["batch_types"]
    assert {"planned": ["source"], "rows": ["fileKey"]}.items() <= {
        entry["type"]: entry["file_fields"] for entry in types
    }.items()

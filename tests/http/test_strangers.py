"""Requests that a stranger makes up: times at the ends of the calendar, keys of folders, odd spellings, two lengths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from batchbus_service.http.server.app import routed_app
from tests.http.conftest import Person, Site
from tests.http.wire import connected

EDGES = (
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:30Z",
    "9999-12-31T23:59:59.999999-14:00",
    "9999-12-31T23:59:59Z",
)


def _times() -> list[tuple[str, str]]:
    """Every parameter of every GET that takes a time, from the document of the API."""
    paths = routed_app().openapi()["paths"]
    return [
        (path, parameter["name"])
        for path, methods in paths.items()
        for parameter in methods.get("get", {}).get("parameters", [])
        if "date-time" in str(parameter.get("schema"))
    ]


async def test_a_time_at_the_end_of_the_calendar_is_refused_or_used(olga: Person) -> None:
    assert len(_times()) >= 4
    for path, name in _times():
        for edge in EDGES:
            answer = await olga.http.get(path, params={name: edge})
            usable = path == "/admin/batch-jobs"  # which only compares
            assert answer.status_code == 400 or (usable and answer.status_code == 200), (path, name, edge)
    for edge in EDGES:
        for field in ("created_at", "updated_at"):
            answer = await olga.http.get("/admin/batch-jobs", params={f"{field}[lt]": edge, f"{field}[gt]": edge})
            assert answer.status_code < 500, (field, edge)
        sent = [
            await olga.http.post("/admin/tokens", json={"user": olga.user.id, "expires_at": edge}),
            await olga.http.get("/admin/events", headers={"last-event-id": f"{edge}/x"}),
            *[
                await olga.http.post("/admin/replays", json={"queue": "q", "reason": "r", "selection": {name: edge}})
                for name in ("since", "until")
            ],
        ]
        assert [answer.status_code for answer in sent if answer.status_code >= 500] == []


async def test_the_key_of_a_folder_is_no_file(site: Site, ann: Person, olga: Person) -> None:
    files = site.service.files
    async with files.write("exports/a/b.csv") as file:
        await file.write(b"kept")
    for key in ("exports", "exports/a", "exports/a/b.csv/c"):
        deleted = await olga.http.request("DELETE", "/admin/uploads", json={"file_key": key})
        assert deleted.status_code == 200, key
        linked = await olga.http.post("/admin/uploads/download-url", json={"file_key": key})
        assert linked.status_code == 404, key
        assert (await ann.http.get(f"/uploads/{key}")).status_code == 404
    assert await files.size("exports/a/b.csv") == 4


@pytest.mark.parametrize("path", ["/metrics/", "/%6detrics", "//metrics", "/metrics%2f", "/./metrics", "/metrics//"])
async def test_a_path_that_a_proxy_denies_has_one_spelling(site: Site, path: str) -> None:
    stranger = await site.client()
    assert (await stranger.get("/metrics")).status_code == 200
    async with connected(site) as wire:
        await wire.send(f"GET {path} HTTP/1.1", "host: x")
        assert (await wire.head()).split()[1] == "404"


async def test_nothing_says_which_protected_files_there_are(site: Site, ann: Person, bob: Person) -> None:
    there, not_there = await ann.upload(b"mine"), "01ARZ3NDEKTSV4RRFFQ69G5FAV-rows.txt"
    stranger = await site.client()
    asked: tuple[Callable[[str], Awaitable[httpx.Response]], ...] = (
        lambda key: stranger.get(f"/uploads/{key}"),
        lambda key: stranger.get(f"/uploads/{key}?expires=99999999999&signature=x"),
        lambda key: bob.http.get(f"/uploads/{key}"),
        lambda key: bob.http.request("DELETE", "/admin/uploads", json={"file_key": key}),
        lambda key: bob.http.post("/admin/uploads/download-url", json={"file_key": key}),
        lambda key: bob.http.post("/admin/batch-jobs", json={"type": "product-import", "context": {"fileKey": key}}),
    )
    for ask in asked:
        one, other = await ask(there), await ask(not_there)
        assert (one.status_code, one.text.replace(there, "")) == (other.status_code, other.text.replace(not_there, ""))
        assert one.status_code >= 400


async def test_a_symbolic_link_in_the_store_leads_nowhere(
    site: Site, olga: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("not yours")
    folder: Path = site.service.settings.data_dir / "files"
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "linked").symlink_to(outside)
    for key in ("link.txt", "linked/secret.txt"):
        answer = await olga.http.post("/admin/uploads/download-url", json={"file_key": key})
        assert answer.status_code == 404, key
        await olga.http.request("DELETE", "/admin/uploads", json={"file_key": key})
    assert (outside / "secret.txt").read_text() == "not yours"


async def test_a_request_with_two_lengths_is_refused_and_its_connection_closed(site: Site, ann: Person) -> None:
    token = f"x-medusa-access-token: {ann.token}"
    lengths = ("content-length: 5", "transfer-encoding: chunked", "", "2", "{}", "0", "")
    async with connected(site) as wire:
        await wire.send("POST /admin/auth HTTP/1.1", "host: x", token, "content-type: application/json", *lengths)
        await wire.send("GET /health HTTP/1.1", "host: x")
        answer = await wire.answer()
    assert answer.split()[1] == "400" and answer.count("HTTP/1.1") == 1

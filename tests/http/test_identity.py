"""One's own sessions, tokens and password; who administers users; what is written down; and what no cache keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from batchbus_service.access import Role, Scope
from batchbus_service.access.common_passwords import is_common
from batchbus_service.http.server.app import routed_app
from tests.http.conftest import Person, Site

PASSWORD = "correct horse battery staple"
TLS = {"x-forwarded-proto": "https"}


@pytest.fixture
async def carl(site: Site) -> Person:
    return await site.person("carl", password=PASSWORD)


async def _bearer(site: Site, person: Person) -> httpx.AsyncClient:
    stranger = await site.client()
    answer = await stranger.post("/admin/auth/token", json={"email": person.user.email, "password": PASSWORD})
    return await site.client(authorization=f"Bearer {answer.json()['access_token']}")


async def _browser(site: Site, person: Person) -> httpx.AsyncClient:
    browser = await site.client()
    await browser.post("/admin/auth", json={"email": person.user.email, "password": PASSWORD})
    return browser


async def _trail(olga: Person, **query: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await olga.http.get("/admin/audit", params=query)).json()["audit"]
    return listed


async def test_logging_out_ends_a_bearer_token_and_no_other_session(site: Site, carl: Person) -> None:
    first, second, browser = await _bearer(site, carl), await _bearer(site, carl), await _browser(site, carl)
    assert (await first.delete("/admin/auth")).status_code == 200
    assert (await first.get("/admin/auth")).status_code == 401
    assert [(await each.get("/admin/auth")).status_code for each in (second, browser)] == [200, 200]


async def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(site: Site, carl: Person, ann: Person) -> None:
    bearer, browser = await _bearer(site, carl), await _browser(site, carl)
    sessions = (await browser.get("/admin/auth/sessions")).json()["sessions"]
    assert [(each["kind"], each["current"]) for each in sessions] == [("cookie", True), ("bearer", False)]
    assert (await ann.http.get("/admin/auth/sessions")).json() == {"sessions": []}
    path = f"/admin/auth/sessions/{sessions[1]['id']}"
    assert (await ann.http.delete(path)).status_code == 404
    assert (await bearer.get("/admin/auth")).status_code == 200
    assert (await carl.http.delete(path)).status_code == 200
    assert (await bearer.get("/admin/auth")).status_code == 401
    assert (await browser.get("/admin/auth")).status_code == 200


async def test_one_sees_and_revokes_ones_own_tokens_and_nobody_elses(carl: Person, ann: Person) -> None:
    (token,) = (await carl.http.get("/admin/auth/tokens")).json()["tokens"]
    assert token["user_id"] == carl.user.id
    assert (await ann.http.delete(f"/admin/auth/tokens/{token['id']}")).status_code == 404
    assert (await carl.http.delete(f"/admin/auth/tokens/{token['id']}")).status_code == 200
    assert (await carl.http.get("/admin/auth")).status_code == 401


async def test_one_changes_ones_own_password(site: Site, carl: Person) -> None:
    browser, path = await _browser(site, carl), "/admin/auth/password"
    wrong = await browser.post(path, json={"password": "a wrong one", "new_password": "four other plain words"})
    assert (wrong.status_code, (await browser.get("/admin/auth")).status_code) == (400, 200)
    common = await browser.post(path, json={"password": PASSWORD, "new_password": "P@ssw0rd2026!"})
    assert (common.status_code, "tried first" in common.json()["message"]) == (400, True)
    other = {"sec-fetch-site": "cross-site"}
    body = {"password": PASSWORD, "new_password": "four other plain words"}
    assert (await browser.post(path, json=body, headers=other)).status_code == 403
    assert (await browser.post(path, json=body)).status_code == 200
    assert (await browser.get("/admin/auth")).status_code == 401
    login = {"email": carl.user.email, "password": "four other plain words"}
    assert (await (await site.client()).post("/admin/auth", json=login)).status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password1",
        "P@ssw0rd!",
        "12345678",
        "87654321",
        "qwertyuiop",
        "abcabcabc",
        "aaaaaaaa",
        "letmein2026",
        "carl.schmidt",
        "Batchbus2026",
        "11.11.1111",
        "dragondragon",
        "sunshine#1",
    ],
)
def test_passwords_that_are_tried_first_are_known(password: str) -> None:
    assert is_common(password, "carl.schmidt@example.com", "carl.schmidt", "batchbus")


@pytest.mark.parametrize(
    "password", [PASSWORD, "four other plain words", "83920174652", "xK9#mQ2$vL", "my dragon eats tea"]
)
def test_other_passwords_may_be_used(password: str) -> None:
    assert not is_common(password, "carl@example.com", "carl", "batchbus")


async def test_a_token_ends_by_default(ann: Person, olga: Person) -> None:
    made = [
        (await olga.http.post("/admin/tokens", json={"user": ann.user.id, **more})).json()["token"]["expires_at"]
        for more in ({}, {"expires_at": None})
    ]
    left = datetime.fromisoformat(made[0]) - datetime.now(UTC)
    assert timedelta(days=89) < left < timedelta(days=91) and made[1] is None


async def test_an_operator_administers_no_users(site: Site, ann: Person) -> None:
    otto = await site.person("otto", Role.OPERATOR)
    ulla = await site.person("ulla", Role.ADMIN, scopes={Scope.USERS})
    job = await ann.create("slow", dry_run=True)
    assert (await otto.http.get(f"/admin/batch-jobs/{job['id']}")).status_code == 200
    assert (await ulla.http.get(f"/admin/batch-jobs/{job['id']}")).status_code == 403
    new = {"email": "new@example.com"}
    for method, path, body in (
        ("POST", "/admin/users", new),
        ("POST", f"/admin/users/{ann.user.id}", {"role": "admin"}),
        ("DELETE", f"/admin/users/{ann.user.id}", None),
        ("GET", "/admin/tokens", None),
        ("POST", "/admin/tokens", {"user": ann.user.id}),
        ("GET", "/admin/audit", None),
    ):
        assert (await otto.http.request(method, path, json=body)).status_code == 403, path
    assert (await ulla.http.post("/admin/users", json=new)).status_code == 201


async def test_logins_are_written_down_and_those_that_are_refused(site: Site, carl: Person, olga: Person) -> None:
    await _browser(site, carl)
    login = {"email": "nobody@example.com", "password": "wrong password"}
    await (await site.client()).post("/admin/auth", json=login)
    refused, accepted = (await _trail(olga))[:2]
    assert (refused["what"], refused["by"], refused["about"]) == ("login_refused", None, "nobody@example.com")
    assert (accepted["what"], accepted["by"], accepted["address"]) == ("login", carl.user.id, "127.0.0.1")
    assert "wrong password" not in str(await _trail(olga))


async def test_what_operators_and_administrators_do_is_written_down(site: Site, ann: Person, olga: Person) -> None:
    job = await ann.create("slow", dry_run=True)
    await olga.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
    made = (await olga.http.post("/admin/tokens", json={"user": ann.user.id})).json()
    await olga.http.delete(f"/admin/users/{ann.user.id}")
    trail = await _trail(olga, by=olga.user.id)
    assert [(each["what"], each["details"]["status"]) for each in trail] == [
        ("DELETE /admin/users/{id}", 200),
        ("POST /admin/tokens", 201),
        ("POST /admin/batch-jobs/{id}/cancel", 200),
    ]
    assert trail[0]["about"] == f"/admin/users/{ann.user.id}"
    assert made["secret"] not in str(trail)
    assert await _trail(olga, by=ann.user.id) == []  # what is one's own is not an operator's act


def test_no_route_changes_the_trail() -> None:
    paths = routed_app().openapi()["paths"]
    assert [set(methods) for path, methods in paths.items() if path.startswith("/admin/audit")] == [{"get"}]


async def test_the_cookie_of_the_pages_is_of_this_host_alone(site: Site, carl: Person) -> None:
    login = {"email": carl.user.email, "password": PASSWORD}
    browser = await site.client()
    answer = await browser.post("/admin/auth", json=login, headers={**TLS, "x-batchbus-pages": "1"})
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie["secure"], cookie["path"], cookie["domain"]) == ("__Host-batchbus", True, "/", "")
    shown = {"cookie": f"__Host-batchbus={cookie.value}", **TLS}
    assert (await browser.get("/admin/auth", headers=shown)).status_code == 200
    out = await browser.delete("/admin/auth", headers=shown)
    assert "__Host-batchbus=" in out.headers["set-cookie"]
    assert (await browser.get("/admin/auth", headers=shown)).status_code == 401
    for headers in ({}, TLS, {"x-batchbus-pages": "1"}):
        plain = await (await site.client()).post("/admin/auth", json=login, headers=headers)
        assert plain.headers["set-cookie"].startswith("connect.sid="), headers


async def test_no_cache_keeps_what_is_private_and_no_browser_guesses_its_type(site: Site, ann: Person) -> None:
    key = await ann.upload(b"mine")
    link = (await ann.http.post("/admin/uploads/download-url", json={"file_key": key})).json()["download_url"]
    for path in ("/admin/auth", "/admin/batch-jobs", "/admin/auth/tokens", "/admin/nothing", link, "/uploads/none"):
        headers = (await ann.http.get(path)).headers
        assert ("no-store" in headers["cache-control"], headers["x-content-type-options"]) == (True, "nosniff"), path
    stranger = await site.client()
    assert "no-store" in (await stranger.get("/admin/auth")).headers["cache-control"]
    assert (await stranger.get("/health")).headers["x-content-type-options"] == "nosniff"


async def test_logins_that_the_limit_turns_away_are_in_the_trail_once_however_many(site: Site, olga: Person) -> None:
    stranger = await site.client()
    login = {"email": "guessed@example.com", "password": "wrong"}
    answers = [(await stranger.post("/admin/auth", json=login)).status_code for _ in range(14)]
    assert answers == [401] * 10 + [429] * 4
    limited = await _trail(olga, what="login_limited")
    assert [(each["about"], each["by"], each["address"]) for each in limited] == [(login["email"], None, "127.0.0.1")]
    assert len(await _trail(olga, what="login_refused")) == 10

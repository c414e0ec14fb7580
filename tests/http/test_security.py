"""What browsers and proxies have to do with it, the limit on failed logins as clients see it, and where no secret is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.cookies import Morsel, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from batchbus_service.access import Role
from batchbus_service.domain.settings import Settings
from tests.http.conftest import Person, Site

PASSWORD = "correct horse battery staple"
ADMIN_PAGES = "https://admin.example.com"
EVIL = "https://evil.example"
Open = Callable[..., Any]


@pytest.fixture
async def carl(site: Site) -> Person:
    """An operator with a password."""
    return await site.person("carl", Role.ADMIN, password=PASSWORD)


def _login(person: Person, password: str = PASSWORD) -> dict[str, str]:
    return {"email": person.user.email, "password": password}


async def _signed_in(site: Site, person: Person) -> httpx.AsyncClient:
    browser = await site.client()
    assert (await browser.post("/admin/auth", json=_login(person))).status_code == 200
    return browser


# -- behind a proxy ------------------------------------------------------------------------------------------------


async def _cookie(site: Site, **headers: str) -> Morsel[str]:
    person = await site.person("dora", password=PASSWORD)
    browser = await site.client()
    answer = await browser.post("/admin/auth", json=_login(person), headers=headers)
    return SimpleCookie(answer.headers["set-cookie"])["connect.sid"]


async def test_behind_tls_the_cookie_is_for_tls_alone(site: Site) -> None:
    cookie = await _cookie(site, **{"x-forwarded-proto": "https"})
    assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "lax"


async def test_behind_tls_links_are_for_tls(ann: Person) -> None:
    asked = {"file_key": await ann.upload(b"rows")}
    answer = await ann.http.post("/admin/uploads/download-url", json=asked, headers={"x-forwarded-proto": "https"})
    assert answer.json()["download_url"].startswith("https://")


async def test_a_proxy_that_is_not_trusted_is_not_believed(settings: Settings, open_site: Open) -> None:
    site = await open_site(settings.model_copy(update={"trusted_proxies": ["192.0.2.0/24"]}))
    cookie = await _cookie(site, **{"x-forwarded-proto": "https"})
    assert not cookie["secure"]


# -- failed logins ---------------------------------------------------------------------------------------------------


async def test_too_many_failed_logins_are_refused_with_when_to_try_again(site: Site, carl: Person) -> None:
    guesser, elsewhere = await site.client(), await site.client(**{"x-forwarded-for": "198.51.100.7"})
    for _ in range(10):
        assert (await guesser.post("/admin/auth", json=_login(carl, "wrong guess"))).status_code == 401
    for path in ("/admin/auth", "/admin/auth/token"):
        refused = await guesser.post(path, json=_login(carl))
        assert (refused.status_code, refused.json()["type"]) == (429, "too_many_requests")
        assert 0 < int(refused.headers["retry-after"]) <= 15 * 60
        assert refused.headers["retry-after"] in refused.json()["message"]
    assert (await elsewhere.post("/admin/auth", json=_login(carl))).status_code == 200


# -- pages of other origins ------------------------------------------------------------------------------------------


FROM_ELSEWHERE: Final = (
    {"origin": EVIL},
    {"origin": "null"},
    {"origin": EVIL, "sec-fetch-site": "cross-site"},
    {"origin": "https://other.example.com", "sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
)
"""How browsers say that a page of another origin asks."""


async def test_a_page_of_another_origin_changes_nothing_with_a_session(site: Site, carl: Person) -> None:
    browser = await _signed_in(site, carl)
    job = await carl.create("slow", dry_run=True)
    for headers in FROM_ELSEWHERE:
        for method, path in (
            ("POST", f"/admin/batch-jobs/{job['id']}/cancel"),
            ("POST", "/admin/uploads"),
            ("DELETE", "/admin/auth"),
            ("POST", "/admin/auth"),
            ("POST", "/admin/nothing-here"),
        ):
            refused = await browser.request(method, path, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "not_allowed"), (headers, method, path)
        assert (await browser.get("/admin/auth", headers=headers)).status_code == 200
    assert (await carl.job(job["id"]))["status"] != "canceled"


async def test_a_page_of_ours_and_a_program_change_things_with_a_session(site: Site, carl: Person) -> None:
    browser = await _signed_in(site, carl)
    body = {"type": "slow", "context": {}}
    for headers in ({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": site.url}):
        assert (await browser.post("/admin/batch-jobs", json=body, headers=headers)).status_code == 201, headers


async def test_whoever_knows_a_token_may_use_it_from_anywhere(ann: Person) -> None:
    answer = await ann.http.post("/admin/batch-jobs", json={"type": "slow", "context": {}}, headers={"origin": EVIL})
    assert answer.status_code == 201


async def test_pages_of_an_origin_that_is_set_may_call_the_api(settings: Settings, open_site: Open) -> None:
    site = await open_site(settings.model_copy(update={"cors_origins": [ADMIN_PAGES]}))
    carl = await site.person("carl", password=PASSWORD)
    browser = await _signed_in(site, carl)
    page = {"origin": ADMIN_PAGES, "sec-fetch-site": "same-site"}

    asks = {**page, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    asked = await browser.options("/admin/batch-jobs", headers=asks)
    assert asked.is_success
    told = await browser.post("/admin/batch-jobs", json={"type": "slow", "context": {}}, headers=page)
    assert told.status_code == 201
    stranger = await site.client()
    refused = await stranger.get("/admin/batch-jobs", headers=page)
    assert refused.status_code == 401
    for answer in (asked, told, refused):
        assert answer.headers["access-control-allow-origin"] == ADMIN_PAGES
        assert answer.headers["access-control-allow-credentials"] == "true"

    evil = await browser.get("/admin/batch-jobs", headers={"origin": EVIL})
    assert "access-control-allow-origin" not in evil.headers


@pytest.mark.parametrize("origins", ["*", "admin.example.com", "https://admin.example.com/", "null"])
def test_what_is_no_origin_is_refused_at_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="takes origins as a browser names them"):
        Settings.model_validate({"cors_origins": origins})


def test_what_is_no_network_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="takes IP addresses or networks"):
        Settings.model_validate({"trusted_proxies": "proxy.example.com"})
    assert Settings.model_validate({"trusted_proxies": "10.0.0.1, 10.1.0.0/16"}).trusted_proxies == [
        *("10.0.0.1/32", "10.1.0.0/16")
    ]


# -- secrets ---------------------------------------------------------------------------------------------------------


async def test_no_secret_is_in_a_log_an_error_or_an_event(
    site: Site, carl: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[str] = []

    async def keep(answer: httpx.Response) -> None:
        if answer.is_error:
            refusals.append((await answer.aread()).decode())

    with capture_logs() as logs, caplog.at_level(logging.INFO, logger="batchbus_events"):
        browser, program, operator = await site.client(), await site.client(), carl.http
        for client in (browser, program, operator):
            client.event_hooks["response"].append(keep)
        await browser.post("/admin/auth", json=_login(carl))
        bearer = (await program.post("/admin/auth/token", json=_login(carl))).json()["access_token"]
        added = {"email": "ed@example.com", "password": "the password of Ed"}
        await operator.post("/admin/users", json=added)
        made = (await operator.post("/admin/tokens", json={"user": "ed@example.com"})).json()
        asked = {"file_key": await carl.upload(b"one\nbad\n")}
        link = (await operator.post("/admin/uploads/download-url", json=asked)).json()["download_url"]
        signature = parse_qs(urlsplit(link).query)["signature"][0]
        secrets = {
            "session": browser.cookies["connect.sid"],
            "bearer": bearer,
            "password": PASSWORD,
            "other password": added["password"],
            "token": carl.token,
            "other token": made["secret"],
            "signature": signature,
            "key": "a secret that only this test knows",
        }

        await program.post("/admin/auth", json=_login(carl, added["password"]))
        for value in secrets.values():
            await program.post("/admin/auth", json={"email": value, "password": [value]})
            await program.get("/admin/auth", headers={"authorization": f"Bearer {value}"[:-1]})
            await operator.get("/admin/batch-jobs", params={"limit": value})
            await operator.post("/admin/users", json={"email": "fay@example.com", "password": value, "role": value})
            await operator.post("/admin/tokens", json={"user": "ed@example.com", "scopes": [value]})
        await program.get(f"/uploads/{asked['file_key']}", params={"expires": "1", "signature": signature})
        monkeypatch.setattr(site.api.users.tokens, "page", None)
        assert (await operator.get("/admin/tokens")).status_code == 500

        job = await carl.create("rows", {"fileKey": asked["file_key"]})
        await carl.until(job["id"], "batch.completed")
        await operator.delete(f"/admin/tokens/{made['token']['id']}")
        await browser.delete("/admin/auth")
        events = [message.body.decode() async for message in site.service.bus.read_log(since=_long_ago())]

    assert len(refusals) > len(secrets) and len(events) >= 5
    assert {"token_created", "token_revoked", "user_added"} <= {line["event"] for line in logs}
    assert "TypeError" in caplog.text
    for where, text in (
        ("an error", "\n".join(refusals)),
        ("a log", f"{logs}\n{caplog.text}"),
        ("an event", "\n".join(events)),
    ):
        for name, value in secrets.items():
            assert value not in text, (name, where)


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)

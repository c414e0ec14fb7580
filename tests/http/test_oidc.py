"""Signing in through a provider of OpenID Connect: who gets in as whom, and what gets nobody in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from batchbus_service.access import Role
from batchbus_service.domain.settings import Settings
from tests.http.conftest import Person, Site
from tests.http.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider

Opened = Callable[..., Any]


@pytest.fixture
async def provider() -> AsyncIterator[OidcProvider]:
    async with OidcProvider.running() as running:
        yield running


@pytest.fixture
def opened(settings: Settings, open_site: Opened, provider: OidcProvider) -> Opened:
    async def open_with(**more: Any) -> Site:
        given = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
        site: Site = await open_site(settings.model_copy(update={**given, **more}))
        return site

    return open_with


@pytest.fixture
async def site(opened: Opened) -> Site:
    made: Site = await opened()
    return made


async def _sign_in(site: Site, provider: OidcProvider, **changed: str) -> tuple[httpx.AsyncClient, httpx.Response]:
    """A browser that goes to the provider and comes back."""
    browser = await site.client()
    away = await browser.get("/oidc/login")
    assert away.status_code == 302, away.text
    assert away.headers["location"].startswith(f"{provider.url}/authorize?")
    back = provider.code_for(away.headers["location"])
    return browser, await browser.get("/oidc/callback", params={**back, **changed})


async def _trail(olga: Person, what: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await olga.http.get("/admin/audit", params={"what": what})).json()["audit"]
    return listed


async def test_the_user_of_the_verified_address_gets_a_session(
    site: Site, provider: OidcProvider, ann: Person, olga: Person
) -> None:
    browser, back = await _sign_in(site, provider)
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert (await browser.get("/admin/auth")).json()["user"]["id"] == ann.user.id
    assert back.headers["cache-control"] == "no-store"
    cookie = back.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    (login,) = await _trail(olga, "login")
    assert (login["by"], login["details"]["provider"]) == (ann.user.id, provider.url)


async def test_afterwards_the_subject_counts_and_no_address(site: Site, provider: OidcProvider, ann: Person) -> None:
    await _sign_in(site, provider)
    provider.claims = {"sub": "subject-1", "email": "olga@example.com", "email_verified": True}
    browser, _ = await _sign_in(site, provider)
    assert (await browser.get("/admin/auth")).json()["user"]["id"] == ann.user.id


REFUSED: Final[dict[str, dict[str, Any]]] = {
    "nobody has the address": {"email": "nobody@example.com"},
    "the address is not verified": {"email_verified": False},
    "the address is said to be verified in words": {"email_verified": "true"},
    "no address": {"email": None},
    "another issuer": {"iss": "https://elsewhere.example.com"},
    "another audience": {"aud": "another"},
    "another party": {"azp": "another"},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "no subject": {"sub": None},
    "expired": {"exp": 1},
    "no end": {"exp": None},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
@pytest.mark.usefixtures("ann")
async def test_claims_that_are_not_right_get_nobody_in(
    site: Site, provider: OidcProvider, changed: dict[str, Any]
) -> None:
    provider.changed = changed
    browser, back = await _sign_in(site, provider)
    assert (back.status_code, back.json()["type"]) == (403, "not_allowed")
    assert (await browser.get("/admin/auth")).status_code == 401


SIGNED_WRONGLY: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "by nobody": lambda claims: jwt.encode(claims, "", algorithm="none"),
    "with the secret of the client": lambda claims: jwt.encode(claims, CLIENT_SECRET * 2, algorithm="HS256"),
    "with another key": lambda claims: jwt.encode(
        claims, rsa.generate_private_key(65537, 2048), algorithm="RS256", headers={"kid": "key-1"}
    ),
    "with a key that is not there": lambda claims: jwt.encode(
        claims, rsa.generate_private_key(65537, 2048), algorithm="RS256", headers={"kid": "key-2"}
    ),
    "no token": lambda _: "nonsense",
}


@pytest.mark.parametrize("signs", SIGNED_WRONGLY.values(), ids=SIGNED_WRONGLY)
@pytest.mark.usefixtures("ann")
async def test_a_token_that_the_provider_has_not_signed_gets_nobody_in(
    site: Site, provider: OidcProvider, signs: Callable[[dict[str, Any]], str]
) -> None:
    provider.signs = signs
    browser, back = await _sign_in(site, provider)
    assert (back.status_code, (await browser.get("/admin/auth")).status_code) == (403, 401)


@pytest.mark.usefixtures("ann")
async def test_an_answer_is_for_the_browser_that_asked_and_is_good_once(site: Site, provider: OidcProvider) -> None:
    for changed in ({"state": "another"}, {"state": ""}, {"code": ""}, {"code": "guessed"}, {"error": "access_denied"}):
        _, back = await _sign_in(site, provider, **changed)
        assert back.status_code == 403, changed
    victim = await site.client()
    away = await (await site.client()).get("/oidc/login")
    back_with_it = provider.code_for(away.headers["location"])
    assert (await victim.get("/oidc/callback", params=back_with_it)).status_code == 403
    other_login = await victim.get("/oidc/login")
    assert (await victim.get("/oidc/callback", params=back_with_it)).status_code == 403
    mine = provider.code_for(other_login.headers["location"])
    assert (await victim.get("/oidc/callback", params=mine)).status_code == 303
    assert (await victim.get("/oidc/callback", params=mine)).status_code == 403


async def test_claims_give_roles_and_the_highest_counts(opened: Opened, provider: OidcProvider) -> None:
    roles = {"admins": Role.ADMIN, "ops": Role.OPERATOR, "*": Role.MEMBER}
    site: Site = await opened(oidc_role_claim="groups", oidc_roles=roles)
    for groups, role in (
        (None, "member"),
        (["ops", "x"], "operator"),
        (["ops", "admins"], "admin"),
        ("ops", "operator"),
    ):
        provider.claims = {
            "sub": "s",
            "email": "new@example.com",
            "email_verified": True,
            "given_name": "Neo",
            "groups": groups,
        }
        browser, _ = await _sign_in(site, provider)
        user = (await browser.get("/admin/auth")).json()["user"]
        assert (user["email"], user["role"], user["first_name"]) == ("new@example.com", role, "Neo"), groups


async def test_who_has_no_role_does_not_get_in_and_is_not_added(opened: Opened, provider: OidcProvider) -> None:
    site: Site = await opened(oidc_role_claim="groups", oidc_roles={"admins": Role.ADMIN})
    provider.claims["groups"] = ["others"]
    _, back = await _sign_in(site, provider)
    assert back.status_code == 403
    assert await site.api.users.find("ann@example.com") is None


async def test_a_provider_may_say_more_in_its_user_info(site: Site, provider: OidcProvider, ann: Person) -> None:
    info = {"sub": "subject-1", "email": "ann@example.com", "email_verified": True}
    provider.claims, provider.user_info = {"sub": "subject-1"}, {**info, "sub": "another"}
    _, back = await _sign_in(site, provider)
    assert back.status_code == 403
    provider.user_info = info
    browser, _ = await _sign_in(site, provider)
    assert (await browser.get("/admin/auth")).json()["user"]["id"] == ann.user.id


@pytest.mark.usefixtures("ann")
async def test_metadata_and_keys_are_fetched_once(site: Site, provider: OidcProvider) -> None:
    for _ in range(3):
        assert (await _sign_in(site, provider))[1].status_code == 303
    assert sorted(provider.asked) == ["/.well-known/openid-configuration", "/keys", *["/token"] * 3]


@pytest.mark.usefixtures("ann")
async def test_the_secret_goes_into_the_form_where_the_provider_wants_it_there(
    site: Site, provider: OidcProvider
) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await _sign_in(site, provider))[1].status_code == 303


async def test_a_provider_that_is_away_or_another_one_is_503_and_says_why(
    settings: Settings, open_site: Opened, provider: OidcProvider
) -> None:
    provider.metadata = {"issuer": "https://elsewhere.example.com"}
    for issuer in ("http://127.0.0.1:1", provider.url):
        given = {"oidc_issuer": issuer, "oidc_client_id": CLIENT_ID}
        site: Site = await open_site(settings.model_copy(update=given))
        answer = await (await site.client()).get("/oidc/login")
        assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")


async def test_refused_sign_ins_are_in_the_trail_once_however_many(
    site: Site, provider: OidcProvider, olga: Person
) -> None:
    provider.changed = {"nonce": "another"}
    for _ in range(3):
        await _sign_in(site, provider)
    (refused,) = await _trail(olga, "login_refused")
    assert (refused["about"], refused["by"]) == (provider.url, None)


async def test_without_a_provider_there_is_no_such_way_in(settings: Settings, open_site: Opened, site: Site) -> None:
    without: Site = await open_site(settings)
    stranger = await without.client()
    assert (await stranger.get("/oidc")).json() == {"oidc": None}
    assert [(await stranger.get(f"/oidc/{path}")).status_code for path in ("login", "callback")] == [404, 404]
    assert (await (await site.client()).get("/oidc")).json() == {"oidc": "single sign-on"}

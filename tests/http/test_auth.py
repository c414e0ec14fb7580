"""Who is asking: tokens, bearer tokens and sessions, and everyone else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.cookies import SimpleCookie

import jwt
import pytest

from batchbus_service.access import Role
from batchbus_service.domain.errors import BadSettings
from batchbus_service.domain.settings import Settings
from batchbus_service.http.medusa.keys import Bearer, Keys, derived_key
from tests.http.conftest import Person, Site

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def carl(site: Site) -> Person:
    """A member with a password."""
    return await site.person("Carl", password=PASSWORD)


def _unauthorized(response: object) -> bool:
    return (
        getattr(response, "status_code", None) == 401
        and getattr(response, "text", None) == "Unauthorized"
        and getattr(response, "headers", {})["content-type"] == "text/plain; charset=utf-8"
    )


async def test_an_api_token_lets_in(ann: Person) -> None:
    answer = await ann.http.get("/admin/auth")
    assert answer.status_code == 200
    user = answer.json()["user"]
    assert user.keys() == {
        *("id", "email", "first_name", "last_name", "role", "metadata", "created_at", "updated_at", "deleted_at"),
    }
    assert (user["id"], user["email"], user["role"]) == (ann.user.id, "ann@example.com", "member")


async def test_a_bearer_token_lets_in(site: Site, carl: Person) -> None:
    stranger = await site.client()
    login = {"email": "CARL@example.com", "password": PASSWORD}
    answer = await stranger.post("/admin/auth/token", json=login)
    assert answer.status_code == 200
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await stranger.get("/admin/auth", headers=bearer)).json()["user"]["id"] == carl.user.id


async def test_a_session_lets_in_until_it_is_ended(site: Site, carl: Person) -> None:
    browser = await site.client()
    answer = await browser.post("/admin/auth", json={"email": carl.user.email, "password": PASSWORD})
    assert answer.json()["user"]["id"] == carl.user.id
    cookie = SimpleCookie(answer.headers["set-cookie"])["connect.sid"]
    assert cookie["httponly"] and cookie["samesite"] == "lax" and not cookie["secure"]
    assert (await browser.get("/admin/batch-jobs")).status_code == 200

    ended = await browser.delete("/admin/auth")
    assert (ended.status_code, ended.text) == (200, "OK")
    browser.cookies.set("connect.sid", cookie.value)
    assert _unauthorized(await browser.get("/admin/batch-jobs"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-medusa-access-token": "nope"},
        {"authorization": "Bearer x.y.z"},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"cookie": "connect.sid=nope"},
        {"x-medusa-access-token": "\u00e9"},
    ],
)
async def test_a_stranger_is_turned_away(site: Site, headers: dict[str, str]) -> None:
    stranger = await site.client()
    for method, path in (
        ("GET", "/admin/batch-jobs"),
        ("POST", "/admin/batch-jobs"),
        ("GET", "/admin/batch-jobs/batch_x"),
        ("GET", "/admin/auth"),
        ("DELETE", "/admin/uploads"),
        ("POST", "/admin/uploads/protected"),
        ("GET", "/admin/events"),
        ("GET", "/admin/batch-types"),
        ("GET", "/admin/nope"),
        ("PUT", "/admin/batch-jobs"),
    ):
        encoded = {key.encode(): value.encode("latin-1") for key, value in headers.items()}
        assert _unauthorized(await stranger.request(method, path, headers=encoded)), (method, path)


async def test_a_stranger_learns_nothing_about_the_body(site: Site) -> None:
    stranger = await site.client()
    json = {"content-type": "application/json"}
    assert _unauthorized(await stranger.post("/admin/batch-jobs", content=b"{", headers=json))


async def test_an_api_token_is_no_bearer_token(site: Site, ann: Person) -> None:
    stranger = await site.client(authorization=f"Bearer {ann.token}")
    assert _unauthorized(await stranger.get("/admin/auth"))


@pytest.mark.parametrize("login", [("carl@example.com", "wrong password"), ("nobody@example.com", PASSWORD)])
async def test_a_wrong_login_is_turned_away(site: Site, carl: Person, login: tuple[str, str]) -> None:
    stranger = await site.client()
    for path in ("/admin/auth", "/admin/auth/token"):
        answer = await stranger.post(path, json={"email": login[0], "password": login[1]})
        assert _unauthorized(answer)
        assert "set-cookie" not in answer.headers


async def test_a_user_without_a_password_cannot_sign_in(site: Site, ann: Person) -> None:
    stranger = await site.client()
    assert _unauthorized(await stranger.post("/admin/auth", json={"email": ann.user.email, "password": "anything"}))


async def test_an_incomplete_login_is_refused_in_medusas_words(site: Site) -> None:
    stranger = await site.client()
    answer = await stranger.post("/admin/auth", json={"email": "admin@example.com"})
    assert answer.status_code == 400
    assert answer.json() == {
        "type": "invalid_data",
        "message": "password should not be empty, password must be a string",
    }


def _forged(user_id: str) -> Iterator[tuple[str, str]]:
    now = int(time.time())
    good = {"iss": "batchbus", "sub": user_id, "gen": 0, "iat": now, "exp": now + 60}
    key = derived_key("a secret that only this test knows", "access tokens")
    yield "not signed", jwt.encode(good, "", algorithm="none")
    yield "signed by another", jwt.encode(good, "x" * 32, algorithm="HS256")
    yield "signed in another way", jwt.encode(good, key * 2, algorithm="HS512")
    yield "expired", jwt.encode(good | {"exp": now - 1}, key, algorithm="HS256")
    yield "for ever", jwt.encode({k: v for k, v in good.items() if k != "exp"}, key, algorithm="HS256")
    yield "of another service", jwt.encode(good | {"iss": "other"}, key, algorithm="HS256")
    yield "of an older password", jwt.encode(good | {"gen": -1}, key, algorithm="HS256")
    yield "of no password", jwt.encode({k: v for k, v in good.items() if k != "gen"}, key, algorithm="HS256")
    yield "for nobody", jwt.encode(good | {"sub": "usr_nobody"}, key, algorithm="HS256")


async def test_a_forged_bearer_token_is_turned_away(site: Site, carl: Person) -> None:
    stranger = await site.client()
    for fault, token in _forged(carl.user.id):
        answer = await stranger.get("/admin/auth", headers={"authorization": f"Bearer {token}"})
        assert _unauthorized(answer), fault


async def test_unknown_paths_and_verbs_are_not_found(ann: Person) -> None:
    for method, path in (("GET", "/admin/nope"), ("PUT", "/admin/batch-jobs"), ("GET", "/admin/auth/token")):
        answer = await ann.http.request(method, path)
        assert answer.status_code == 404
        assert answer.json() == {"type": "not_found", "message": f"Cannot {method} {path}"}


async def test_no_page_of_another_origin_may_call_the_api(site: Site, ann: Person) -> None:
    stranger = await site.client(origin="http://evil.example")
    asked = await stranger.options("/admin/batch-jobs", headers={"access-control-request-method": "POST"})
    assert (asked.status_code, asked.content) == (204, b"")
    told = await ann.http.get("/admin/batch-jobs", headers={"origin": "http://evil.example"})
    for answer in (asked, told):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_nothing_in_the_database_gives_access(site: Site, carl: Person) -> None:
    browser = await site.client()
    await browser.post("/admin/auth", json={"email": carl.user.email, "password": PASSWORD})
    kept = ""
    for name in await site.database.list_collection_names():
        kept += str(await site.database[name].find().to_list(None))
    assert "argon2id" in kept
    for secret in (PASSWORD, carl.token, browser.cookies["connect.sid"]):
        assert secret not in kept


def test_a_service_with_a_database_of_its_own_needs_a_secret_of_its_own() -> None:
    with pytest.raises(BadSettings, match="BATCHBUS_JWT_SECRET"):
        Keys.of(Settings(mongodb_url="mongodb://localhost", jwt_secret=None))


def test_the_embedded_default_keeps_a_secret_for_its_owner(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data") / "new", jwt_secret=None)
    token = Keys.of(settings).access_token(Bearer("usr_x", 0, "key"))
    assert Keys.of(settings).bearer_of(token) == Bearer("usr_x", 0, "key")
    assert (settings.data_dir / "jwt.secret").stat().st_mode & 0o777 == 0o600


def test_only_administrators_and_operators_are_operators() -> None:
    assert {role for role in Role if "operator" in role.scopes} == {Role.ADMIN, Role.OPERATOR}

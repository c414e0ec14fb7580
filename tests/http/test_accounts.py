"""Routes about users and tokens, which are for operators."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.http.conftest import Person, Site

PASSWORD = "correct horse battery staple"


async def _added(olga: Person, email: str, **more: object) -> dict[str, str]:
    answer = await olga.http.post("/admin/users", json={"email": email, **more})
    assert answer.status_code == 201, answer.text
    user: dict[str, str] = answer.json()["user"]
    return user


async def test_an_operator_adds_a_user_who_signs_in(site: Site, olga: Person) -> None:
    user = await _added(olga, "Carl@Example.com", password=PASSWORD, first_name="Carl", role="developer")
    assert (user["email"], user["role"], user["first_name"]) == ("carl@example.com", "developer", "Carl")
    assert PASSWORD not in str(user) and "hash" not in str(user)
    stranger = await site.client()
    signed_in = await stranger.post("/admin/auth", json={"email": "carl@example.com", "password": PASSWORD})
    assert signed_in.json()["user"]["id"] == user["id"]


async def test_users_are_listed_in_pages_and_found_by_id(olga: Person) -> None:
    emails = [f"user{number}@example.com" for number in range(3)]
    users = [await _added(olga, email) for email in emails]
    page = (await olga.http.get("/admin/users", params={"offset": 1, "limit": 2})).json()
    assert [user["email"] for user in page["users"]] == emails[:2]
    assert (page["count"], page["offset"], page["limit"]) == (4, 1, 2)
    assert (await olga.http.get(f"/admin/users/{users[2]['id']}")).json()["user"] == users[2]
    assert (await olga.http.get("/admin/users/usr_none")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 400, "email: Field required"),
        ({"email": "nobody"}, 400, "no email address"),
        ({"email": 5}, 400, "email"),
        ({"email": "x@example.com", "password": "short"}, 400, "8 to 1024 characters"),
        (
            {"email": "x@example.com", "role": "king"},
            400,
            "role: Input should be 'admin', 'member', 'developer' or 'operator'",
        ),
        ({"email": "x@example.com", "admin": True}, 400, "admin: should not exist"),
        ({"email": "olga@EXAMPLE.com"}, 409, "There is a user olga@example.com already"),
    ],
)
async def test_what_cannot_be_a_user_is_refused(
    olga: Person, body: dict[str, object], status: int, reason: str
) -> None:
    answer = await olga.http.post("/admin/users", json=body)
    assert answer.status_code == status
    assert answer.json()["type"] == ("conflict" if status == 409 else "invalid_data")
    assert reason in answer.json()["message"]


async def test_whoever_is_removed_is_out_at_once_and_their_jobs_stay(site: Site, ann: Person, olga: Person) -> None:
    job = await ann.create("slow")
    answer = await olga.http.delete(f"/admin/users/{ann.user.id}")
    assert answer.json() == {"id": ann.user.id, "object": "user", "deleted": True}
    assert (await ann.http.get("/admin/auth")).status_code == 401
    assert (await olga.job(job["id"]))["created_by"] == ann.user.id
    assert (await olga.http.delete(f"/admin/users/{ann.user.id}")).status_code == 404


async def test_nobody_removes_themselves(olga: Person) -> None:
    refused = await olga.http.delete(f"/admin/users/{olga.user.id}")
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")


async def test_a_new_password_ends_sessions_and_bearer_tokens(site: Site, olga: Person) -> None:
    user = await _added(olga, "carl@example.com", password=PASSWORD)
    login = {"email": "carl@example.com", "password": PASSWORD}
    browser, program = await site.client(), await site.client()
    await browser.post("/admin/auth", json=login)
    bearer = (await program.post("/admin/auth/token", json=login)).json()["access_token"]
    program.headers["authorization"] = f"Bearer {bearer}"
    for client in (browser, program):
        assert (await client.get("/admin/auth")).status_code == 200

    changed = await olga.http.post(f"/admin/users/{user['id']}", json={"password": "another password"})
    assert changed.status_code == 200
    for client in (browser, program):
        assert (await client.get("/admin/auth")).status_code == 401
    assert (await browser.post("/admin/auth", json=login)).status_code == 401
    assert (await browser.post("/admin/auth", json=login | {"password": "another password"})).status_code == 200


async def test_a_new_role_counts_at_once(ann: Person, olga: Person) -> None:
    job = await olga.create("slow")
    assert (await ann.http.get(f"/admin/batch-jobs/{job['id']}")).status_code == 400
    answer = await olga.http.post(f"/admin/users/{ann.user.id}", json={"role": "admin"})
    assert answer.json()["user"]["role"] == "admin"
    token = await olga.http.post("/admin/tokens", json={"user": ann.user.id, "scopes": ["jobs:read", "operator"]})
    ann.http.headers["x-medusa-access-token"] = token.json()["secret"]
    assert (await ann.http.get(f"/admin/batch-jobs/{job['id']}")).status_code == 200


async def test_a_token_is_shown_once_and_never_again(site: Site, ann: Person, olga: Person) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    made = await olga.http.post("/admin/tokens", json={"user": "ann@example.com", "expires_at": end})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    token, secret = made.json()["token"], made.json()["secret"]
    assert (token["user_id"], token["email"]) == (ann.user.id, "ann@example.com")
    assert (token["scopes"], token["expires_at"], token["last_used_at"]) == (["jobs:read", "jobs:write"], end, None)

    client = await site.client(**{"x-medusa-access-token": secret})
    assert (await client.get("/admin/batch-jobs")).status_code == 200
    listed = await olga.http.get("/admin/tokens", params={"user": "ann@example.com"})
    first, *_ = listed.json()["tokens"]
    assert first == token | {"last_used_at": first["last_used_at"]} and first["last_used_at"]
    assert secret not in listed.text


async def test_a_revoked_token_is_refused_and_stays_in_the_list(ann: Person, olga: Person) -> None:
    (token,) = (await olga.http.get("/admin/tokens", params={"user": ann.user.id})).json()["tokens"]
    for _ in range(2):
        answer = await olga.http.delete(f"/admin/tokens/{token['id']}")
        assert answer.json() == {"id": token["id"], "object": "token", "deleted": True}
    refused = await ann.http.get("/admin/auth")
    assert (refused.status_code, refused.text) == (401, "Unauthorized")
    listed = (await olga.http.get("/admin/tokens")).json()
    assert listed["count"] == 2
    assert [bool(one["revoked_at"]) for one in listed["tokens"] if one["user_id"] == ann.user.id] == [True]
    assert (await olga.http.delete("/admin/tokens/tok_none")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 400, "user: Field required"),
        ({"user": "nobody@example.com"}, 404, "nobody@example.com was not found"),
        ({"user": "usr_none"}, 404, "usr_none was not found"),
        ({"user": "ann@example.com", "scopes": []}, 400, "there has to be one"),
        ({"user": "ann@example.com", "scopes": ["everything"]}, 400, "scopes"),
        ({"user": "ann@example.com", "scopes": ["operator"]}, 400, "a member, who cannot have operator"),
        ({"user": "ann@example.com", "expires_at": "2020-01-01T00:00:00Z"}, 400, "in the past"),
        ({"user": "ann@example.com", "expires_at": "soon"}, 400, "expires_at"),
    ],
)
async def test_a_token_that_cannot_be_made_is_refused(
    ann: Person, olga: Person, body: dict[str, object], status: int, reason: str
) -> None:
    answer = await olga.http.post("/admin/tokens", json=body)
    assert (answer.status_code, reason in answer.json()["message"]) == (status, True), answer.text

"""What every store of users, tokens, sessions and failed logins must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from batchbus_service.domain.errors import UserExists
from batchbus_service.domain.ports import AuditRecord, LoginNote, Session, Stores
from batchbus_service.domain.principals import ApiToken, User
from batchbus_service.domain.roles import Role, Scope
from batchbus_service.storage.clock import SystemClock

NOW = SystemClock().now()
LATER = NOW + timedelta(minutes=15)


def user(number: int = 1) -> User:
    return User(
        id=f"usr_{number}",
        email=f"{number}@example.com",
        role=Role.MEMBER,
        created_at=NOW,
        updated_at=NOW,
        first_name="Ann",
    )


def token(number: int = 1, user_id: str = "usr_1") -> ApiToken:
    return ApiToken(id=f"tok_{number}", user_id=user_id, scopes=(Scope.JOBS_READ,), created_at=NOW, expires_at=LATER)


def session(number: int = 1, user_id: str = "usr_1") -> Session:
    return Session(
        digest=f"digest {number}",
        id=f"ses_{number}",
        kind="cookie",
        user_id=user_id,
        created_at=NOW,
        expires_at=LATER,
    )


async def test_the_sessions_of_a_user_are_listed_the_newest_first(stores: Stores) -> None:
    for number, user_id in ((1, "usr_1"), (2, "usr_2"), (3, "usr_1")):
        await stores.sessions.insert(session(number, user_id))
    assert await stores.sessions.of_user("usr_1") == [session(3), session(1)]
    assert await stores.sessions.of_user("usr_9") == []


async def test_the_audit_trail_is_listed_the_newest_first(stores: Stores) -> None:
    records = [
        AuditRecord(
            id=f"aud_{n}", at=NOW, what=what, by=by, address="::1", about="x", details={"status": n, "f": ["a"]}
        )
        for n, (what, by) in enumerate((("login", "usr_1"), ("login_refused", None), ("login", "usr_2")))
    ]
    for record in records:
        await stores.audit.append(record)
    assert await stores.audit.page(by=None, what=None, offset=0, limit=2) == (records[:0:-1], 3)
    assert await stores.audit.page(by="usr_1", what=None, offset=0, limit=9) == (records[:1], 1)
    assert await stores.audit.page(by=None, what="login", offset=1, limit=9) == (records[:1], 2)


async def test_the_audit_trail_can_be_added_to_and_read_and_nothing_else(stores: Stores) -> None:
    assert {name for name in dir(stores.audit) if not name.startswith("_")} == {"append", "page", "prepare"}


async def test_a_user_is_found_by_id_and_by_address(stores: Stores) -> None:
    await stores.users.insert(user(), None)
    assert await stores.users.get("usr_1") == await stores.users.find("1@example.com") == user()
    assert await stores.users.get("usr_2") is None
    assert await stores.users.find("2@example.com") is None
    assert await stores.users.with_password_hash("1@example.com") == (user(), None)
    assert await stores.users.with_password_hash("2@example.com") is None


async def test_an_address_belongs_to_one_user(stores: Stores) -> None:
    await stores.users.insert(user(), None)
    with pytest.raises(UserExists, match="1@"):
        await stores.users.insert(replace(user(2), email="1@example.com"), None)
    assert (await stores.users.page(offset=0, limit=10))[1] == 1


async def test_users_are_listed_in_the_order_in_which_they_were_added(stores: Stores) -> None:
    for number in (2, 1, 3):
        await stores.users.insert(user(number), None)
    assert await stores.users.page(offset=1, limit=1) == ([user(2)], 3)


async def test_a_new_password_raises_the_generation_and_a_new_role_does_not(stores: Stores) -> None:
    await stores.users.insert(user(), "hash 1")
    await stores.users.change("usr_1", LATER, role=Role.ADMIN)
    changed = await stores.users.get("usr_1")
    assert changed and (changed.role, changed.generation, changed.updated_at) == (Role.ADMIN, 0, LATER)
    await stores.users.change("usr_1", LATER, password_hash="hash 2")
    changed, known = await stores.users.with_password_hash("1@example.com") or (None, None)
    assert changed and (changed.role, changed.generation, known) == (Role.ADMIN, 1, "hash 2")
    await stores.users.change("usr_9", LATER, role=Role.ADMIN)
    assert await stores.users.get("usr_9") is None


async def test_a_user_who_is_removed_is_gone_and_may_be_removed_again(stores: Stores) -> None:
    await stores.users.insert(user(), "hash")
    for _ in range(2):
        await stores.users.remove("usr_1")
    assert await stores.users.with_password_hash("1@example.com") is None
    await stores.users.insert(user(), None)


async def test_a_token_is_found_by_its_digest_and_by_its_id(stores: Stores) -> None:
    await stores.tokens.insert(token(), "digest")
    assert await stores.tokens.by_digest("digest") == await stores.tokens.get("tok_1") == token()
    assert await stores.tokens.by_digest("tok_1") is None
    assert await stores.tokens.get("digest") is None


async def test_tokens_are_listed_the_newest_first_of_one_user_or_of_all(stores: Stores) -> None:
    for number, owner in ((1, "usr_1"), (3, "usr_1"), (2, "usr_2")):
        await stores.tokens.insert(token(number, owner), f"digest {number}")
    everyone, count = await stores.tokens.page(user_id=None, offset=0, limit=2)
    assert ([each.id for each in everyone], count) == (["tok_3", "tok_2"], 3)
    assert await stores.tokens.page(user_id="usr_1", offset=1, limit=9) == ([token(1)], 2)


async def test_a_token_is_revoked_once_alone_or_with_all_of_its_user(stores: Stores) -> None:
    for number in (1, 2):
        await stores.tokens.insert(token(number), f"digest {number}")
    await stores.tokens.insert(token(3, "usr_2"), "digest 3")
    await stores.tokens.revoke("tok_1", NOW)
    await stores.tokens.revoke("tok_9", NOW)
    await stores.tokens.revoke_all("usr_1", LATER)
    revoked = [(await stores.tokens.by_digest(f"digest {number}") or token()).revoked_at for number in (1, 2, 3)]
    assert revoked == [NOW, LATER, None]


async def test_of_those_that_saw_the_same_use_one_notes_the_next(stores: Stores) -> None:
    await stores.tokens.insert(token(), "digest")
    await stores.tokens.note_use("digest", None, NOW)
    await stores.tokens.note_use("digest", None, LATER)
    used = await stores.tokens.get("tok_1")
    assert used and used.last_used_at == NOW
    await stores.tokens.note_use("digest", NOW, LATER)
    used = await stores.tokens.get("tok_1")
    assert used and used.last_used_at == LATER


async def test_sessions_are_ended_one_by_one_and_all_of_a_user(stores: Stores) -> None:
    for number, owner in ((1, "usr_1"), (2, "usr_1"), (3, "usr_1"), (4, "usr_2")):
        await stores.sessions.insert(session(number, owner))
    assert await stores.sessions.get("digest 1") == session(1)
    for _ in range(2):
        await stores.sessions.remove("digest 1")
    assert await stores.sessions.get("digest 1") is None
    assert await stores.sessions.get("digest 2") == session(2)
    await stores.sessions.remove_all("usr_1")
    assert [await stores.sessions.get(f"digest {number}") for number in (2, 3)] == [None, None]
    assert await stores.sessions.get("digest 4") == session(4, "usr_2")


async def test_failures_are_counted_until_their_note_expires_and_then_anew(stores: Stores) -> None:
    for _ in range(3):
        await stores.logins.count_failure("failed", NOW, LATER)
    assert await stores.logins.notes(["failed", "other"]) == {"failed": LoginNote(LATER, 3)}
    still_later = LATER + timedelta(minutes=15)
    await stores.logins.count_failure("failed", LATER, still_later)
    assert await stores.logins.notes(["failed"]) == {"failed": LoginNote(still_later, 1)}


async def test_a_note_is_kept_for_longer_and_forgotten(stores: Stores) -> None:
    await stores.logins.keep("known", NOW + timedelta(days=1))
    await stores.logins.keep("known", NOW + timedelta(days=2))
    assert await stores.logins.notes(["known"]) == {"known": LoginNote(NOW + timedelta(days=2))}
    for _ in range(2):
        await stores.logins.forget("known")
    assert await stores.logins.notes(["known"]) == {}

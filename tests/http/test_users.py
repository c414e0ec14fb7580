"""The users' own rules, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_service.access import Role, Scope, Users
from batchbus_service.domain.errors import BadUser, StoreUnavailable, UserExists
from batchbus_service.storage.mongo.access import MongoLoginStore, MongoSessionStore, MongoTokenStore, MongoUserStore

Database = AsyncIOMotorDatabase[dict[str, Any]]


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    yield client[database_name[-38:]]
    client.close()


def users_in(database: Database) -> Users:
    return Users(
        MongoUserStore(database), MongoTokenStore(database), MongoSessionStore(database), MongoLoginStore(database)
    )


@pytest.fixture
async def users(database: Database) -> Users:
    users = users_in(database)
    await users.prepare()
    return users


async def test_two_users_cannot_have_one_address(users: Users) -> None:
    await users.add("ann@example.com")
    with pytest.raises(UserExists):
        await users.add("ANN@example.com")


@pytest.mark.parametrize("email", ["", "ann", "@", "ann@", "a b@example.com", "ann@example.com\n", "a" * 300 + "@b"])
async def test_what_is_no_address_is_refused(users: Users, email: str) -> None:
    with pytest.raises(BadUser, match="no email address"):
        await users.add(email)


@pytest.mark.parametrize("password", ["short", "x" * 2000])
async def test_a_password_has_a_sensible_length(users: Users, password: str) -> None:
    with pytest.raises(BadUser, match="characters"):
        await users.add("ann@example.com", password=password)


async def test_a_token_allows_no_more_than_its_users_role(users: Users) -> None:
    member = await users.add("ann@example.com")
    made = await users.tokens.create(member, {Scope.JOBS_READ, Scope.OPERATOR})
    principal = await users.tokens.holder(made.secret)
    assert principal and principal.scopes == {Scope.JOBS_READ}
    assert not principal.sees_all


async def test_a_revoked_token_lets_nobody_in_and_is_still_listed(users: Users) -> None:
    admin = await users.add("ann@example.com", role=Role.ADMIN)
    made, other = [await users.tokens.create(admin, set(Scope)) for _ in range(2)]
    assert await users.tokens.holder(made.secret)
    await users.tokens.revoke(made.token.id)
    assert await users.tokens.holder(made.secret) is None
    assert await users.tokens.holder(other.secret)
    listed, count = await users.tokens.page(user_id=admin.id, offset=0, limit=10)
    assert ([token.id for token in listed], count) == ([other.token.id, made.token.id], 2)
    assert [token.revoked_at is None for token in listed] == [True, False]


async def test_a_token_that_is_revoked_again_keeps_the_time_of_the_first(users: Users) -> None:
    made = await users.tokens.create(await users.add("ann@example.com"), {Scope.JOBS_READ})
    await users.tokens.revoke(made.token.id)
    first = await users.tokens.get(made.token.id)
    await users.tokens.revoke(made.token.id)
    assert await users.tokens.get(made.token.id) == first


async def test_a_token_ends_by_itself(users: Users) -> None:
    ann = await users.add("ann@example.com")
    soon = datetime.now(UTC) + timedelta(hours=1)
    lasting = await users.tokens.create(ann, {Scope.JOBS_READ}, expires_at=soon)
    ended = await users.tokens.create(ann, {Scope.JOBS_READ}, expires_at=soon - timedelta(hours=2))
    assert await users.tokens.holder(lasting.secret)
    assert await users.tokens.holder(ended.secret) is None


async def test_the_last_use_of_a_token_is_written_down_once_a_minute(users: Users, database: Database) -> None:
    made = await users.tokens.create(await users.add("ann@example.com"), {Scope.JOBS_READ})

    async def last_use() -> datetime | None:
        token = await users.tokens.get(made.token.id)
        assert token
        return token.last_used_at

    assert await last_use() is None
    await users.tokens.holder(made.secret)
    first = await last_use()
    assert first and abs(datetime.now(UTC) - first) < timedelta(minutes=5)
    for ago, written in ((timedelta(seconds=30), False), (timedelta(seconds=61), True)):
        before = datetime.now(UTC).replace(microsecond=0) - ago
        await database["tokens"].update_one({}, {"$set": {"last_used_at": before}})
        await users.tokens.holder(made.secret)
        assert (await last_use() != before) is written


async def test_a_session_ends_by_itself(users: Users, database: Database) -> None:
    key = await users.sessions.begin(await users.add("ann@example.com"))
    assert await users.sessions.holder(key)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await database["sessions"].update_many({}, {"$set": {"expires_at": past}})
    assert await users.sessions.holder(key) is None


async def test_who_is_removed_is_out_at_once(users: Users) -> None:
    ann, bob = await users.add("ann@example.com"), await users.add("bob@example.com")
    keys = [await users.sessions.begin(user) for user in (ann, bob)]
    tokens = [(await users.tokens.create(user, {Scope.JOBS_READ})).secret for user in (ann, bob)]
    await users.remove(ann)
    assert await users.find("ann@example.com") is None
    assert [bool(await users.sessions.holder(key)) for key in keys] == [False, True]
    assert [bool(await users.tokens.holder(token)) for token in tokens] == [False, True]


async def test_a_new_password_ends_sessions_and_leaves_api_tokens(users: Users) -> None:
    ann = await users.add("ann@example.com", password="the old password")
    key, made = await users.sessions.begin(ann), await users.tokens.create(ann, {Scope.JOBS_READ})
    await users.change(ann, password="the new password")
    assert await users.sessions.holder(key) is None
    assert await users.tokens.holder(made.secret)
    assert await users.with_password("ann@example.com", "the old password") is None
    changed = await users.with_password("ann@example.com", "the new password")
    assert changed and changed.generation == ann.generation + 1


async def test_a_new_role_counts_at_once(users: Users) -> None:
    ann = await users.add("ann@example.com", role=Role.ADMIN)
    made = await users.tokens.create(ann, set(Scope))
    await users.change(ann, role=Role.MEMBER)
    principal = await users.tokens.holder(made.secret)
    assert principal and not principal.sees_all


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        "mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50
    )
    with pytest.raises(StoreUnavailable):
        await users_in(client["nowhere"]).find("ann@example.com")
    client.close()

"""The users' own rules, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_service.ports import StoreUnavailable
from batchbus_service.users import BadUser, Role, Scope, UserExists, Users

Database = AsyncIOMotorDatabase[dict[str, Any]]


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    yield client[database_name[-38:]]
    client.close()


@pytest.fixture
async def users(database: Database) -> Users:
    users = Users(database)
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
    token = await users.new_token(member, {Scope.JOBS_READ, Scope.OPERATOR})
    principal = await users.with_token(token)
    assert principal and principal.scopes == {Scope.JOBS_READ}
    assert not principal.sees_all


async def test_a_revoked_token_lets_nobody_in(users: Users, database: Database) -> None:
    admin = await users.add("ann@example.com", role=Role.ADMIN)
    token = await users.new_token(admin, set(Scope))
    assert await users.with_token(token)
    await database["tokens"].update_many({"user_id": admin.id}, {"$set": {"revoked_at": datetime.now(UTC)}})
    assert await users.with_token(token) is None


async def test_a_session_ends_by_itself(users: Users, database: Database) -> None:
    key = await users.new_session(await users.add("ann@example.com"))
    assert await users.with_session(key)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await database["sessions"].update_many({}, {"$set": {"expires_at": past}})
    assert await users.with_session(key) is None


async def test_a_database_that_is_away_is_said_to_be_away() -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        "mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50
    )
    with pytest.raises(StoreUnavailable):
        await Users(client["nowhere"]).find("ann@example.com")
    client.close()

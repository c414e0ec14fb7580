"""Every store there is, on each database there is: the contract suites run against all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_service.domain.ports import JobStore, Stores
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.collection import Database
from batchbus_service.storage.mongo.connection import mongo_stores, open_database
from batchbus_service.storage.mongo.jobs import MongoJobStore
from tests.patience import PATIENCE
from tests.storage.memory.jobs import MemoryJobStore
from tests.storage.memory.stores import memory_stores


@asynccontextmanager
async def a_database(url: str, name: str) -> AsyncIterator[Database]:
    """A MongoDB database that is not there any more afterwards."""
    async with open_database(url, name[-38:], answer_seconds=PATIENCE) as opened:
        yield opened
        await opened.client.drop_database(opened.name)


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    async with a_database(mongo_url, database_name) as opened:
        yield opened


@asynccontextmanager
async def mongo_store(url: str, database: str) -> AsyncIterator[MongoJobStore]:
    """A store of jobs in a database that is not there any more afterwards."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url, tz_aware=True, tzinfo=UTC)
    store = MongoJobStore(client[database])
    await store.prepare()
    try:
        yield store
    finally:
        await client.drop_database(database)
        client.close()


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest, database_name: str) -> AsyncIterator[JobStore]:
    if request.param == "memory":
        yield MemoryJobStore()
        return
    async with mongo_store(request.getfixturevalue("mongo_url"), database_name) as opened:
        yield opened


@pytest.fixture(params=["memory", "mongodb", "embedded"])
async def stores(request: pytest.FixtureRequest, database_name: str) -> AsyncIterator[Stores]:
    """`embedded` asks for lists as the embedded database needs it."""
    if request.param == "memory":
        yield memory_stores()
        return
    async with a_database(request.getfixturevalue("mongo_url"), database_name) as opened:
        stores = mongo_stores(opened, SystemClock(), embedded=request.param == "embedded")
        for each in (stores.jobs, stores.users, stores.tokens, stores.sessions, stores.logins, stores.parked):
            await each.prepare()
        yield stores

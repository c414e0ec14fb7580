"""A catalogue and a file store of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_strategies import Services
from batchbus_strategies.testing import LocalFiles, RecordContract
from tests.strategies.shop import Shop, furnish


@pytest.fixture
async def catalog(mongo_url: str, database_name: str) -> AsyncIterator[AsyncIOMotorDatabase[dict[str, Any]]]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url, tz_aware=True)
    yield client[database_name]
    await client.drop_database(database_name)
    client.close()


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


@pytest.fixture
def services(catalog: AsyncIOMotorDatabase[dict[str, Any]], files: LocalFiles) -> Services:
    return Services(files, catalog)


@pytest.fixture(autouse=True)
def _services_of_a_contract(request: pytest.FixtureRequest) -> None:
    """What the plugin does for others, which is left out here."""
    if isinstance(request.instance, RecordContract):
        request.instance.services = request.getfixturevalue("services")


@pytest.fixture
async def shop(services: Services, files: LocalFiles) -> Shop:
    await furnish(services.catalog)
    return Shop(services, files)

"""A plugin of pytest for the tests of strategies: a database, a file store and jobs, each test with its own.

It is there once `batchbus-strategies[testing]` is installed. Tests that are `async def` want pytest-asyncio or anyio
besides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel

from batchbus_strategies.strategy import BatchStrategy, Catalog, Document, Services
from batchbus_strategies.testing.files import LocalFiles
from batchbus_strategies.testing.job import FakeJob
from batchbus_strategies.testing.record_contract import RecordContract
from batchbus_strategies.testing.server import ServerMissing, served

__all__ = [
    "JobFactory",
    "batchbus_database",
    "batchbus_files",
    "batchbus_job",
    "batchbus_mongodb_url",
    "batchbus_services",
]

C = TypeVar("C", bound=BaseModel)


class JobFactory(Protocol):
    """What the fixture `batchbus_job` is."""

    def __call__(
        self,
        strategy: BatchStrategy[C],
        context: Mapping[str, object] | None = None,
        *,
        dry_run: bool = False,
        job_id: str | None = None,
    ) -> FakeJob[C]:
        """A job of the strategy, which has not run."""


@pytest.fixture(scope="session")
def batchbus_mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that `BATCHBUS_TEST_MONGODB_URL` names, or else the embedded one, started for this run of tests."""
    if url := os.environ.get("BATCHBUS_TEST_MONGODB_URL"):
        yield url
        return
    try:
        with served(tmp_path_factory.mktemp("mongodb")) as url:
            yield url
    except ServerMissing as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def batchbus_database(batchbus_mongodb_url: str, request: pytest.FixtureRequest) -> Iterator[Catalog]:
    """A database of the test's own, empty, and gone afterwards: what `run.catalog` is, with `delegate` for plain calls."""
    words = re.sub(r"\W+", "_", request.node.name)[:28].strip("_")
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        batchbus_mongodb_url, tz_aware=True, tzinfo=UTC, w="majority", journal=True
    )
    database = client[f"{words}_{uuid4().hex[:8]}"]
    yield database
    client.delegate.drop_database(database.name)
    client.close()


@pytest.fixture
def batchbus_files(tmp_path: Path) -> LocalFiles:
    """A file store of the test's own, in a folder: what `run.files` is, with `put`, `get` and `all_keys` for tests."""
    return LocalFiles(tmp_path / "batchbus-files")


@pytest.fixture
def batchbus_services(batchbus_database: Catalog, batchbus_files: LocalFiles) -> Services:
    """The two together, as strategies are lent them."""
    return Services(files=batchbus_files, catalog=batchbus_database)


@pytest.fixture(autouse=True)
def _services_of_a_contract(request: pytest.FixtureRequest) -> None:
    """A `RecordContract` has the services of its test: so its subclasses need no fixture of their own."""
    if isinstance(request.instance, RecordContract):
        request.instance.services = request.getfixturevalue("batchbus_services")


@pytest.fixture
def batchbus_job(batchbus_services: Services) -> JobFactory:
    """Makes jobs without an engine, of a strategy and a context, in the test's own database and file store."""

    def job(
        strategy: BatchStrategy[C],
        context: Mapping[str, object] | None = None,
        *,
        dry_run: bool = False,
        job_id: str | None = None,
    ) -> FakeJob[C]:
        return FakeJob(strategy, context or {}, batchbus_services, dry_run=dry_run, job_id=job_id)

    return job

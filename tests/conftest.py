"""What every test may ask for: a database server, a database name of its own, and RabbitMQ (`tests.rabbitmq`)."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings

from batchbus_service.storage.mongo.embedded import EmbeddedMongo

pytest_plugins = ["tests.rabbitmq", "tests.engine.fixtures"]

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One embedded MongoDB for the whole run; it lives on a thread of its own, apart from the tests' event loops."""
    with start_blocking_portal() as portal:
        starting = EmbeddedMongo.start(tmp_path_factory.mktemp("mongo"))
        with portal.wrap_async_context_manager(starting) as url:
            yield url


@pytest.fixture
def database_name(request: pytest.FixtureRequest) -> str:
    """A database that no other test uses, named after the test."""
    words = re.sub(r"\W+", "_", request.node.name)[:40].strip("_")
    return f"{words}_{uuid4().hex[:8]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: where the suite runs in several processes, none is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)

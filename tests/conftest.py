"""What every test may ask for: a database server, a database name of its own, and RabbitMQ (`tests.rabbitmq`)."""

import os
import re
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import psutil
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings

from batchbus_service.storage.mongo.embedded import EmbeddedMongo
from tests.database import embedded_process

_OTHER_SERVER: Final = os.environ.get("BATCHBUS_TEST_MONGODB_URL")

pytest_plugins = ["tests.rabbitmq", "tests.engine.fixtures"]

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# What is raised on purpose is logged without its sources and variables: to paint one takes a tenth of a second.
structlog.configure(
    [
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that `BATCHBUS_TEST_MONGODB_URL` names, where the databases of the tests are left behind.

    Or else one embedded MongoDB for the whole run; it lives on a thread of its own, apart from the tests' event loops.
    """
    if _OTHER_SERVER:
        yield _OTHER_SERVER
        return
    with start_blocking_portal() as portal:
        starting = EmbeddedMongo.start(tmp_path_factory.mktemp("mongo"))
        with portal.wrap_async_context_manager(starting) as url:
            yield url


@pytest.fixture
def database_server(mongo_url: str) -> psutil.Process:
    """The process of the embedded server behind `mongo_url`. For tests with the mark `embedded`."""
    return embedded_process()


@pytest.fixture
def database_name(request: pytest.FixtureRequest) -> str:
    """A database that no other test uses, named after the test."""
    words = re.sub(r"\W+", "_", request.node.name)[:40].strip("_")
    return f"{words}_{uuid4().hex[:8]}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: where the suite runs in several processes, none is left alone with them at the end."""
    if _OTHER_SERVER:
        left_out = pytest.mark.skip(reason="needs the embedded server, and BATCHBUS_TEST_MONGODB_URL names another one")
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(left_out)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)

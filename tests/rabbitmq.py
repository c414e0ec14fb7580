"""A RabbitMQ for tests: the fixtures that hand out addresses, and what the run says where there is none.

`BATCHBUS_TEST_AMQP_URL` names a broker to use. Without it a node of our own is started: from an installed
`rabbitmq-server`, else from one that is installed for it (Debian and root), else with Docker. If there is none to be
had, the tests marked `rabbitmq` are skipped with one loud line, or fail if `BATCHBUS_REQUIRE_RABBITMQ` is 1.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import aio_pika
import pytest

from batchbus_events import topics
from tests.rabbitmq_node import NoRabbitMQ, RabbitNode, find_rabbitmq, install

_MISSING: Final = pytest.StashKey[str]()
_TOLD: Final = "not tested against RabbitMQ"


@pytest.fixture(scope="session")
def _session_node(request: pytest.FixtureRequest) -> Iterator[RabbitNode]:
    try:
        node = find_rabbitmq()
    except NoRabbitMQ as error:
        if os.environ.get("BATCHBUS_REQUIRE_RABBITMQ") == "1":
            pytest.fail(f"RabbitMQ is required here: {error}")
        _tell_missing(request.config, str(error))
        pytest.skip("no RabbitMQ")
    with node:
        yield node


@pytest.fixture(scope="session")
def amqp_tools() -> None:
    """The commands of Debian's `amqp-tools`: the plainest client there is."""
    if shutil.which("amqp-publish") is None:
        install("amqp-publish", "amqp-tools")
    if shutil.which("amqp-publish") is None:
        missing = "amqp-tools is not installed, and apt-get cannot install it"
        if os.environ.get("BATCHBUS_REQUIRE_RABBITMQ") == "1":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def rabbit_node(_session_node: RabbitNode) -> Iterator[RabbitNode]:
    """A node of our own, to be stopped, frozen and restarted by the test."""
    yield _session_node
    _session_node.resume()
    _session_node.start()


@pytest.fixture(scope="session")
def amqp_url(request: pytest.FixtureRequest) -> str:
    """The address of a RabbitMQ, shared by all tests."""
    given = os.environ.get("BATCHBUS_TEST_AMQP_URL")
    if given:
        return given
    node: RabbitNode = request.getfixturevalue("_session_node")
    return node.url


@pytest.fixture
async def amqp_vhost_url(request: pytest.FixtureRequest, amqp_url: str) -> AsyncIterator[str]:
    """The address of a RabbitMQ where nothing of batchbus is declared yet: a virtual host for this test alone.

    On a broker that is not ours we cannot make one, and delete what batchbus declares instead.
    """
    if os.environ.get("BATCHBUS_TEST_AMQP_URL"):
        await _delete_topology(amqp_url)
        yield amqp_url
    else:
        node: RabbitNode = request.getfixturevalue("_session_node")
        yield node.fresh_vhost()


async def _delete_topology(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for queue in (topics.TRIGGERS_QUEUE, topics.PARKED_QUEUE, topics.HELD_QUEUE, topics.LOG_QUEUE):
            await channel.queue_delete(queue.name)
        for exchange in topics.EXCHANGES:
            await channel.exchange_delete(exchange.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for a broker is marked `rabbitmq`, so that `-m "not rabbitmq"` runs anywhere."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if not {"_session_node", "rabbit_node", "amqp_url", "amqp_vhost_url"}.isdisjoint(names):
            item.add_marker(pytest.mark.rabbitmq)


def _tell_missing(config: pytest.Config, missing: str) -> None:
    config.stash[_MISSING] = missing
    told = getattr(config, "workeroutput", None)
    if told is not None:  # this is a process of pytest-xdist, which prints nothing itself
        told[_TOLD] = missing


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of pytest-xdist has ended; what it could not test is for us to say."""
    if missing := getattr(node, "workeroutput", {}).get(_TOLD):
        node.config.stash[_MISSING] = missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = config.stash.get(_MISSING, None)
    if missing is not None:
        terminalreporter.write_line(f"*** NOT TESTED AGAINST RABBITMQ: {missing} ***", red=True, bold=True)

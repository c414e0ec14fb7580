"""RabbitMQ as deploy/rabbitmq sets it up: over TLS alone, each user by a certificate, with the definitions that are shipped."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from batchbus_events import topics
from batchbus_events.bus import BusUnavailable, Delivery, Message
from batchbus_events.client import Client
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.testing import FakeBatchbus
from tests.docs.pages import ROOT
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode, free_port

DEPLOY = ROOT / "deploy" / "rabbitmq"


class Secured:
    """A broker with TLS, and certificates for some of its users."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port

    def url(self, user: str, *, certificate: str | None = None) -> str:
        """The address for a user, with the certificate of that user or another."""
        own = self._folder / (certificate or user)
        files = {"cafile": own / "ca.pem", "certfile": own / "cert.pem", "keyfile": own / "key.pem"}
        query = urlencode({"auth": "external", **{name: str(path) for name, path in files.items()}})
        return f"amqps://{user}@127.0.0.1:{self._port}/batchbus?{query}"

    @property
    def without_certificate(self) -> str:
        return f"amqps://guest:guest@127.0.0.1:{self._port}/batchbus?cafile={self._folder / 'ca.pem'}"


@pytest.fixture(scope="module")
def secured(_session_node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    subprocess.run([DEPLOY / "certificates", folder, "rabbitmq", "batchbus", "publisher"], check=True)
    settings = (DEPLOY / "rabbitmq.conf").read_text()
    for shipped, ours in (
        ("listeners.tcp = none\n", ""),  # the node is looked for there
        ("listeners.ssl.default = 5671", f"listeners.ssl.1 = 127.0.0.1:{port}"),
        ("/etc/rabbitmq/tls", str(folder / "rabbitmq")),
        (
            "load_definitions = /etc/rabbitmq/definitions.json\n",
            "",
        ),  # imported below: a start that declares queues takes longer
    ):
        assert shipped in settings
        settings = settings.replace(shipped, ours)
    plugins = "[rabbitmq_auth_mechanism_ssl]."
    assert "rabbitmq_auth_mechanism_ssl" in (DEPLOY / "enabled_plugins").read_text()
    node = RabbitNode(plugins=plugins)
    node.more_config = settings
    with node:
        node.ctl("import_definitions", str(DEPLOY / "definitions.json"))
        yield Secured(folder, port)


@pytest.mark.rabbitmq
async def test_a_user_is_known_by_its_certificate_and_vouched_for(secured: Secured) -> None:
    publishers: list[str | None] = []
    created = asyncio.Event()

    class Noting(FakeBatchbus):
        async def _handle(self, delivery: Delivery) -> None:
            publishers.append(delivery.message.user_id)
            await super()._handle(delivery)
            created.set()

    async with (
        RabbitBus.open(secured.url("batchbus")) as service,
        Noting(service) as batchbus,
        Client.connect(secured.url("publisher"), source="shop") as shop,
    ):
        job_id = await shop.create("noop", idempotency_key="monday")
        async with asyncio.timeout(PATIENCE):
            await created.wait()
    assert list(batchbus.jobs) == [job_id]
    assert publishers == ["publisher"]


@pytest.mark.rabbitmq
async def test_nobody_publishes_as_the_user_of_another_certificate(secured: Secured) -> None:
    async with Client.connect(secured.url("batchbus", certificate="publisher"), source="shop") as shop:
        with pytest.raises(BusUnavailable, match="user_id"):
            await shop.create("noop")


@pytest.mark.rabbitmq
async def test_nobody_gets_in_without_a_certificate(secured: Secured) -> None:
    with pytest.raises(BusUnavailable):
        async with RabbitBus.open(secured.without_certificate, declare=False):
            pass


@pytest.mark.rabbitmq
async def test_a_client_that_cannot_know_its_user_takes_no_idempotency_key(secured: Secured) -> None:
    url = secured.url("publisher").replace("publisher@", "", 1)
    async with Client.connect(url, source="shop") as shop:
        with pytest.raises(ValueError, match="amqps://NAME@host"):
            await shop.create("noop", idempotency_key="monday")
        await shop.create("noop")
    async with RabbitBus.open(url, declare=False) as bus:
        await bus.publish(topics.TRIGGERS, Message(body=b"{}", routing_key="batch.created"))

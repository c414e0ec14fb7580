"""The definitions of the broker's users, imported into a real broker: what each may do stands in docs/access.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from batchbus_events import topics
from batchbus_events.bus import BusUnavailable
from batchbus_events.client import Client
from batchbus_events.definitions import main
from batchbus_events.event import Event
from batchbus_events.parking import parked_queue, subscriber_queue
from batchbus_events.rabbitmq import RabbitBus
from batchbus_events.subscriber import Retry
from batchbus_events.testing import FakeBatchbus
from tests.docs.pages import ROOT
from tests.docs.tables import table_of
from tests.events.inbox import Inbox
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode

TABLE: Final = table_of("docs/access.md", "operation at the broker")
USERS: Final = ("batchbus", "publisher", "subscriber", "client", "operator")
PASSWORD: Final = "of a test"
Address = Callable[[str], str]
OTHERS: Final = "neighbour"
"""A user whose queues are there, and which no other user may touch."""


def _import(node: RabbitNode, folder: Path, vhost: str) -> Address:
    """Import the definitions. Returns the address of each user."""
    for user in (*USERS, OTHERS):
        (folder / user).write_text(f"{PASSWORD}\n")
    named = [f"--{kind}={kind}" for kind in USERS[1:]] + [f"--client={OTHERS}"]
    file = folder / "definitions.json"
    assert main(["--passwords", str(folder), "--vhost", vhost, *named, str(file)]) == 0
    node.ctl("import_definitions", str(file))
    return lambda user: f"amqp://{user}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{node.port}/{vhost}"


@pytest.fixture(scope="module")
def imported(_session_node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Address:
    """A broker with the definitions, for our own parts."""
    return _import(_session_node, tmp_path_factory.mktemp("definitions"), "definitions")


@pytest.fixture(scope="module")
def tried(_session_node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Address:
    """A virtual host of its own, where everything is tried out. The definitions are imported a second time, to no harm."""
    return _import(_session_node, tmp_path_factory.mktemp("tried"), "tried")


def test_the_file_is_that_of_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = ROOT / "deploy/rabbitmq/definitions.json"
    assert main(["--check", str(shipped)]) == 0
    stale = tmp_path / "definitions.json"
    assert main(["--check", str(stale)]) == 1
    stale.write_text(shipped.read_text().replace("^$", ".*", 1))
    assert main(["--check", str(stale)]) == 1
    assert str(stale) in capsys.readouterr().err
    assert main([str(stale)]) == 0
    assert stale.read_text() == shipped.read_text()


def test_no_password_stands_in_the_file_that_is_shipped_and_none_in_words_in_any(tmp_path: Path) -> None:
    shipped = json.loads((ROOT / "deploy/rabbitmq/definitions.json").read_text())
    assert {user["password_hash"] for user in shipped["users"]} == {""}
    (tmp_path / "batchbus").write_text(PASSWORD)
    (tmp_path / "shop").write_text(PASSWORD)
    assert main(["--passwords", str(tmp_path), "--publisher", "shop", str(tmp_path / "out.json")]) == 0
    text = (tmp_path / "out.json").read_text()
    hashes = {user["password_hash"] for user in json.loads(text)["users"]}
    assert len(hashes) == 2, "each with a salt of its own"
    assert PASSWORD not in text


def test_a_password_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--passwords", str(tmp_path), "--publisher", "shop", str(tmp_path / "out.json")]) == 1
    assert "batchbus" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


# -- what each user may do ---------------------------------------------------------------------------------------------

Operation = Callable[[AbstractChannel, str], Awaitable[object]]


def _message(user: str | None = None) -> aio_pika.Message:
    return aio_pika.Message(b"{}", user_id=user)


def _publishing(exchange: str, key: str, *, as_another: bool = False) -> Operation:
    async def publish(channel: AbstractChannel, user: str) -> None:
        found = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await found.publish(_message(OTHERS if as_another else user), key, mandatory=False)

    return publish


def _own_queue(**arguments: str) -> Operation:
    async def declare(channel: AbstractChannel, user: str) -> None:
        await channel.declare_queue(f"{user}.own-{len(arguments)}", exclusive=True, arguments=dict(arguments) or None)

    return declare


def _bound_to(exchange: str) -> Operation:
    async def bind(channel: AbstractChannel, user: str) -> None:
        queue = await channel.declare_queue(f"{user}.bound", exclusive=True)
        await queue.bind(exchange, "batch.#")

    return bind


async def _ignored(_: object) -> None:
    """What comes is not acknowledged, and stays where it is."""


def _reading(queue: str, *, log: bool = False) -> Operation:
    async def read(channel: AbstractChannel, _: str) -> None:
        await channel.set_qos(1)
        found = await channel.get_queue(queue, ensure=False)
        await found.consume(_ignored, arguments={"x-stream-offset": "next"} if log else None)

    return read


async def _anothers_queue(channel: AbstractChannel, _: str) -> None:
    await channel.declare_queue(f"{OTHERS}.more", durable=True)


async def _delete(channel: AbstractChannel, name: str) -> None:
    await channel.queue_delete(name, if_unused=False, if_empty=False)


async def _like_ours(channel: AbstractChannel, _: str) -> None:
    await channel.declare_exchange("batch.more", "fanout", durable=True)


OPERATIONS: Final[dict[str, Operation]] = {
    "publish a trigger": _publishing(topics.TRIGGERS, "batch.created.noop"),
    "publish a trigger as another user": _publishing(topics.TRIGGERS, "batch.created", as_another=True),
    "publish anything else where triggers go": _publishing(topics.TRIGGERS, "batch.completed"),
    "publish an event": _publishing(topics.EVENTS, "batch.completed"),
    "publish a parked message": _publishing(topics.PARKED, ""),
    "wake workers": _publishing(topics.WORKERS, ""),
    "send to a queue by its name": _publishing("", topics.TRIGGERS_QUEUE.name),
    "have a queue of its own": _own_queue(),
    "bind its queue to events": _bound_to(topics.EVENTS),
    "bind its queue to triggers": _bound_to(topics.TRIGGERS),
    "have a queue whose dead letters go to other queues": _own_queue(**{"x-dead-letter-exchange": ""}),
    "read the log": _reading(topics.LOG_QUEUE.name, log=True),
    "take triggers": _reading(topics.TRIGGERS_QUEUE.name),
    "take parked messages": _reading(topics.PARKED_QUEUE.name),
    "have a queue in another's name": _anothers_queue,
    "read another's queue": _reading(f"{OTHERS}.parked"),
    "send to another's exchange": _publishing(f"{OTHERS}.parking", ""),
    "delete another's queue": lambda channel, _: _delete(channel, f"{OTHERS}.parked"),
    "delete the queue of triggers": lambda channel, _: _delete(channel, topics.TRIGGERS_QUEUE.name),
    "have an exchange like those of batchbus": _like_ours,
}


@pytest.mark.rabbitmq
@pytest.mark.parametrize("user", USERS)
async def test_a_user_of_the_broker_may_do_what_the_table_says_and_nothing_else(user: str, tried: Address) -> None:
    assert OPERATIONS.keys() == TABLE.keys()
    async with RabbitBus.open(tried(OTHERS), name="neighbour", declare=False) as bus:
        await bus.declare(parked_queue(OTHERS))
    async with await aio_pika.connect(tried(user)) as connection:
        for name, operation in OPERATIONS.items():
            assert await _may(connection, operation, user) == (TABLE[name][user] == "yes"), name
    async with RabbitBus.open(tried("batchbus"), name="batchbus") as bus:
        assert not await bus.missing()


async def _may(connection: aio_pika.abc.AbstractConnection, operation: Operation, user: str) -> bool:
    channel = await connection.channel(publisher_confirms=True)
    try:
        async with asyncio.timeout(PATIENCE):
            await operation(channel, user)
    except (ChannelAccessRefused, ChannelPreconditionFailed):
        return False
    finally:
        await channel.close()
    return True


# -- what our own parts take ---------------------------------------------------------------------------------------------


@pytest.mark.rabbitmq
async def test_a_publisher_creates_jobs_and_a_subscriber_follows_them(imported: Address) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(RabbitBus.open(imported("batchbus"), name="batchbus"))
        await stack.enter_async_context(FakeBatchbus(service))
        begun = datetime.now(UTC) - timedelta(hours=1)
        shop = await stack.enter_async_context(Client.connect(imported("publisher"), source="shop"))
        billing = await stack.enter_async_context(Client.connect(imported("subscriber"), source="billing"))
        job_id = await shop.create("noop", idempotency_key="monday")
        async with asyncio.timeout(PATIENCE):
            followed = [event.type async for event in billing.follow(job_id)]
            assert followed[-1] == "batch.completed"
            assert [event.type for event in await billing.history(job_id)] == followed
            async with billing.subscribe("batch.completed.#", since=begun) as events:
                assert (await anext(aiter(events))).subject == job_id
            async with billing.subscribe("batch.created.#", queue="subscriber.kept") as events:
                other = await shop.create("noop")
                assert (await anext(aiter(events))).subject == other


@pytest.mark.rabbitmq
async def test_a_subscriber_parks_what_it_cannot_handle_with_the_routing_key_that_it_had(
    imported: Address,
) -> None:
    parked = Inbox()

    async def fail(_: Event) -> None:
        raise ValueError("no price")

    async with (
        RabbitBus.open(imported("batchbus"), name="batchbus") as service,
        FakeBatchbus(service),
        RabbitBus.open(imported("client"), name="client", declare=False) as bus,
    ):
        shop = Client(bus, source="shop")
        subscriber = shop.subscriber("client", ["batch.completed.#"], retry=Retry(tries=1))
        subscriber.on()(fail)
        await bus.consume(parked_queue("client"), parked, prefetch=1)
        await bus.declare(subscriber_queue("client", ["batch.completed.#"], crashes=20))
        running = asyncio.create_task(subscriber.run())
        try:
            job_id = await shop.create("noop")
            delivery = await parked.next()
        finally:
            subscriber.stop()
            await running
    assert delivery.message.routing_key == f"batch.completed.noop.{job_id}"
    assert "no price" in str(delivery.message.headers["x-batchbus-reason"])


@pytest.mark.rabbitmq
async def test_what_a_subscriber_may_not_do_is_an_error_with_its_cause(imported: Address) -> None:
    async with Client.connect(imported("subscriber"), source="billing") as billing:
        with pytest.raises(BusUnavailable, match="ACCESS_REFUSED"):
            await billing.create("noop")

"""The doctor: what it finds, and the way out that it names."""

from __future__ import annotations

import asyncio
from typing import Any

import aio_pika
import pytest
from pymongo import MongoClient

from batchbus_events import topics
from tests.cli.command import Command


def _bad(command: Command, **environment: str) -> dict[str, tuple[str, str]]:
    """What is wrong: for each thing, in which words, and the way out."""
    examined = command("doctor", "--json", **environment)
    assert examined.code == 1, examined
    return {f["what"]: (f["words"], f["way_out"]) for f in examined.json["findings"] if not f["fine"]}


def test_a_service_that_runs_is_fine(batchbus: Command) -> None:
    examined = batchbus.fine("doctor").out
    assert "embedded, in use by process" in examined
    assert "ready at http://127.0.0.1:" in examined


def test_a_folder_where_nothing_ran_yet_is_fine_and_stays_empty(folder_command: Command) -> None:
    examined = folder_command.fine("doctor", "--json").json
    assert {finding["what"] for finding in examined["findings"]} == {
        *("settings", "database", "broker", "files", "private", "strategies", "service"),
    }
    assert list(folder_command.folder.iterdir()) == []


def test_what_cannot_be_reached_is_named_with_the_way_out(folder_command: Command) -> None:
    bad = _bad(
        folder_command,
        BATCHBUS_MONGODB_URL="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300",
        BATCHBUS_AMQP_URL="amqp://guest:hunter2@127.0.0.1:9/",
        BATCHBUS_URL="http://127.0.0.1:9",
        BATCHBUS_TOKEN="x",
        BATCHBUS_FILES_URL="file:///proc/nowhere",
        BATCHBUS_STRATEGIES_DIR="no such folder",
    )
    assert bad.keys() == {"settings", "database", "broker", "files", "strategies", "service"}
    assert "BATCHBUS_JWT_SECRET" in bad["settings"][0]
    for what, name in (("database", "MONGODB"), ("broker", "AMQP"), ("files", "FILES"), ("service", "URL")):
        assert f"BATCHBUS_{name}" in bad[what][1]
    assert "no such folder is not a folder" in bad["strategies"][0]
    assert "hunter2" not in str(bad.values())


def test_settings_that_fit_no_installation_are_named(folder_command: Command) -> None:
    assert "BATCHBUS_LEASE_SECONDS" in _bad(folder_command, BATCHBUS_LEASE_SECONDS="soon")["settings"][0]
    typo = _bad(folder_command, BATCHBUS_WORKER_TYPES="rows,lows")
    assert "lows" in typo["strategies"][0]


def test_a_token_that_does_not_fit_is_told(batchbus: Command) -> None:
    assert "does not accept BATCHBUS_TOKEN" in _bad(batchbus, **batchbus.with_token("wrong"))["service"][0]


def test_jobs_that_cannot_be_read_are_named(folder_command: Command, mongo_url: str, database_name: str) -> None:
    environment = {"BATCHBUS_MONGODB_URL": mongo_url, "BATCHBUS_MONGODB_DATABASE": database_name[-38:]}
    with MongoClient[dict[str, Any]](mongo_url) as client:
        jobs = client[database_name[-38:]]["jobs"]
        jobs.insert_many([{"_id": f"batch_{number}", "status": "lost"} for number in range(7)])
        words, way_out = _bad(folder_command, **environment)["database"]
        assert "7 cannot be read" in words
        assert "The document of batch job batch_6 cannot be read" in words
        assert "mend them in the collection jobs" in way_out
        jobs.delete_many({})
        assert "database" not in _bad(folder_command, **environment)


@pytest.mark.rabbitmq
def test_what_the_broker_lacks_is_told_and_declared_only_if_that_is_asked_for(
    folder_command: Command, amqp_vhost_url: str
) -> None:
    environment = {"BATCHBUS_AMQP_URL": amqp_vhost_url}

    def look(*arguments: str) -> str:
        examined = folder_command("doctor", *arguments, **environment)
        assert examined.code == 0, examined
        return examined.out

    assert "nothing of batchbus yet" in look()
    assert "nothing of batchbus yet" in look(), "it has declared nothing"
    assert "every exchange and queue in place" in look("--repair")
    asyncio.run(_delete(amqp_vhost_url, topics.EVENTS, topics.LOG_QUEUE.name))
    for _ in range(2):
        words, way_out = _bad(folder_command, **environment)["broker"]
        assert "exchange batch.events, queue batchbus.log" in words
        assert "batchbus doctor --repair" in way_out
    assert "every exchange and queue in place" in look("--repair")
    assert "every exchange and queue in place" in look()


async def _delete(url: str, exchange: str, queue: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.exchange_delete(exchange)
        await channel.queue_delete(queue)

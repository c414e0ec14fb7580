"""The doctor: what it finds, and the way out that it names."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from pymongo import MongoClient
from yarl import URL

from batchbus_events import topics
from batchbus_service.cli.checks.check import Check
from batchbus_service.cli.checks.clocks import Clocks
from batchbus_service.cli.doctor import examine
from batchbus_service.domain.settings import Settings
from tests.cli.command import Command
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode


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
        *("settings", "variables", "command", "data", "database", "broker", "clock"),
        *("files", "private", "strategies", "port", "service"),
    }
    assert list(folder_command.folder.iterdir()) == []


@pytest.fixture
def folder_command(folder_command: Command) -> Command:
    """On whatever port is free: another one may be somebody else's."""
    return replace(folder_command, environment={**folder_command.environment, "BATCHBUS_HTTP_PORT": "0"})


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


def test_a_data_directory_that_cannot_be_used_is_named(folder_command: Command, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    for folder in ("a file", "a file/below", "/proc/nowhere"):
        message, hint = _bad(folder_command, BATCHBUS_DATA_DIR=folder)["data"]
        assert folder.partition("/below")[0] in message and "BATCHBUS_DATA_DIR" in hint


def test_a_disk_that_takes_nothing_is_named_and_up_says_so_too(folder_command: Command) -> None:
    (folder_command.folder / ".batchbus").mkdir(mode=0o700)
    for command in ("doctor", "up"):
        process = folder_command.start(command, through=("prlimit", "--fsize=4096"))  # so that no file can be written
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert ".batchbus cannot be written to: File too large" in " ".join((out + err).split())
        assert "BATCHBUS_DATA_DIR" in out + err and "Traceback" not in err
    assert list((folder_command.folder / ".batchbus").glob(".writable*")) == [], "nothing stays of the look"


@pytest.mark.parametrize("folder", ["a file", "a file/below", "/proc/nowhere"])
def test_up_says_which_data_directory_cannot_be_used(folder_command: Command, folder: str) -> None:
    (folder_command.folder / "a file").write_text("")
    refused = folder_command("up", BATCHBUS_DATA_DIR=folder)
    assert refused.code == 1
    assert folder in refused.err and "BATCHBUS_DATA_DIR" in refused.err and "Traceback" not in refused.err


def test_a_disk_that_is_nearly_full_is_named(folder_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_full = SimpleNamespace(total=1024**4, used=1024**4, free=5 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    message, hint = _bad(folder_command)["data"]
    assert "5 MiB free" in message and "Make room" in hint


def test_a_port_that_is_taken_is_named_unless_it_is_batchbus_that_has_it(
    folder_command: Command, batchbus: Command
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        message, hint = _bad(folder_command, BATCHBUS_METRICS_PORT=port)["port"]
    assert f"127.0.0.1:{port}" in message and "BATCHBUS_METRICS_PORT" in hint and f"sport = :{port}" in hint
    ours = batchbus.with_token("")["BATCHBUS_URL"].rpartition(":")[2]
    examined = folder_command("doctor", BATCHBUS_HTTP_PORT=ours)
    assert examined.code == 0 and f"{ours} is that of a batchbus that runs" in examined.out


def test_variables_that_nothing_reads_are_named_with_the_nearest_setting(folder_command: Command) -> None:
    message, hint = _bad(folder_command, BATCHBUS_RABBIT_URL="amqp://x", BATCHBUS_XYZZY="1")["variables"]
    assert "BATCHBUS_RABBIT_URL is no setting" in message and "BATCHBUS_XYZZY is no setting" in message
    assert "docs/settings.md" in hint
    misspelt = _bad(folder_command, BATCHBUS_WORKER_SLOT="1")
    assert "BATCHBUS_WORKER_SLOT is no setting; BATCHBUS_WORKER_SLOTS is" in misspelt["settings"][0]
    assert "BATCHBUS_WORKER_SLOTS" in misspelt["variables"][0]
    of_kubernetes = {"BATCHBUS_SERVICE_HOST": "10.0.0.1", "BATCHBUS_PORT_8000_TCP_ADDR": "10.0.0.1"}
    assert folder_command("doctor", **of_kubernetes).code == 0


def test_a_process_with_a_misspelt_setting_does_not_start(folder_command: Command) -> None:
    refused = folder_command("up", BATCHBUS_WORKER_SLOT="1")
    assert refused.code == 2
    assert "BATCHBUS_WORKER_SLOT is no setting; BATCHBUS_WORKER_SLOTS is" in refused.err


def _said(command: Command, what: str, **environment: str) -> dict[str, Any]:
    (check,) = [f for f in command("doctor", "--json", **environment).json["findings"] if f["what"] == what]
    return dict(check)


def test_the_command_that_the_settings_are_for_is_named(folder_command: Command) -> None:
    embedded = _said(folder_command, "command")["words"]
    assert "the broker and the database are embedded" in embedded
    assert "`batchbus serve` and `batchbus worker`, which need BATCHBUS_AMQP_URL and BATCHBUS_MONGODB_URL" in embedded
    apart = {"BATCHBUS_MONGODB_URL": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"}
    half = _said(folder_command, "command", **apart)
    assert "the broker is embedded" in half["words"] and "need BATCHBUS_AMQP_URL" in half["words"]
    both = {**apart, "BATCHBUS_AMQP_URL": "amqp://127.0.0.1:9"}
    assert "any number of each; files are in the data directory" in _said(folder_command, "command", **both)["words"]
    alone = _said(folder_command, "command", **both, BATCHBUS_FILES_URL="memory://")
    assert not alone["fine"] and "s3://" in alone["way_out"]


@pytest.mark.parametrize(
    ("off", "said"), [(timedelta(minutes=-3), "3 min behind that of"), (timedelta(hours=5), "5 h ahead of that of")]
)
async def test_a_clock_that_is_off_is_named(
    mongo_url: str, database_name: str, off: timedelta, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHBUS_HTTP_PORT", "0")
    settings = Settings(mongodb_url=mongo_url, mongodb_database=database_name[-38:])

    async def clock(now: Callable[[], datetime] | None) -> Check:
        return next(check for check in await examine(settings, now=now) if check.what == "clock")

    wrong = await clock(lambda: datetime.now(UTC) + off)
    assert not wrong.fine and f"{said} the database's server" in wrong.message and "NTP" in str(wrong.hint)
    right = await clock(None)
    assert right.fine and "agrees with that of the database's server" in right.message


def test_small_differences_and_the_time_that_an_answer_takes_count_for_nothing() -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    clocks = Clocks(lambda: time)
    clocks.compare("the database", time - timedelta(seconds=20), time - timedelta(seconds=30))
    clocks.compare("the broker", time + timedelta(seconds=4), time)
    assert clocks.check().fine
    clocks.compare(
        "the broker", time - timedelta(seconds=10), time - timedelta(seconds=3), resolution=timedelta(seconds=1)
    )
    assert not clocks.check().fine


@pytest.mark.rabbitmq
def test_a_virtual_host_that_is_not_there_is_named(folder_command: Command, amqp_url: str) -> None:
    url = str(URL(amqp_url).with_path("/nowhere"))
    message, hint = _bad(folder_command, BATCHBUS_AMQP_URL=url)["broker"]
    assert "no virtual host nowhere" in message
    assert "rabbitmqctl add_vhost nowhere" in hint


@pytest.mark.rabbitmq
def test_the_clock_of_the_broker_is_compared(folder_command: Command, amqp_vhost_url: str) -> None:
    check = _said(folder_command, "clock", BATCHBUS_AMQP_URL=amqp_vhost_url)
    assert check["fine"] and "agrees with that of the broker" in check["words"]


@pytest.mark.rabbitmq
def test_a_broker_that_takes_no_messages_at_the_moment_tells_no_time_and_is_not_said_to_be_broken(
    folder_command: Command, amqp_vhost_url: str, rabbit_node: RabbitNode
) -> None:
    rabbit_node.low_memory(True)
    try:
        examined = folder_command("doctor", BATCHBUS_AMQP_URL=amqp_vhost_url)
    finally:
        rabbit_node.low_memory(False)
    assert examined.code == 0, examined
    assert "there is no other clock here to compare it with" in examined.out

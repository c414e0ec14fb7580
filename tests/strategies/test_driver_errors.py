"""What PyMongo raises on a real database, in the sentence that a job keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import InsertOne, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, DocumentTooLarge, DuplicateKeyError, PyMongoError

from batchbus_strategies.driver_errors import driver_sentence

Catalog = AsyncIOMotorDatabase[dict[str, Any]]
TAKEN = 'its sku "A" is taken already (unique index sku_1).'


@pytest.fixture
async def products(catalog: Catalog) -> Any:
    await catalog["products"].create_index("sku", unique=True)
    await catalog["products"].insert_one({"_id": 1, "sku": "A"})
    return catalog["products"]


async def told(call: Any) -> str:
    with pytest.raises((PyMongoError, InvalidDocument)) as raised:
        await call
    sentence = driver_sentence(raised.value)
    assert sentence is not None and "\n" not in sentence and len(sentence) < 600
    return sentence


async def test_a_duplicate_key(products: Any) -> None:
    assert await told(products.insert_one({"sku": "A"})) == f"A write to products was refused: {TAKEN}"
    update = products.update_one({"_id": 2}, {"$set": {"sku": "A"}}, upsert=True)
    assert await told(update) == f"A write to products was refused: {TAKEN}"
    assert await told(products.insert_one({"_id": 1})) == (
        "A write to products was refused: its _id 1 is taken already (unique index _id_)."
    )


async def test_a_duplicate_key_of_several_fields(products: Any) -> None:
    await products.create_index([("shop", 1), ("ean", 1)], unique=True, sparse=True)
    await products.insert_one({"sku": "B", "shop": "north", "ean": None})
    assert 'its shop "north", ean null is taken' in await told(products.insert_one({"sku": "C", "shop": "north"}))


async def test_a_duplicate_key_that_is_long_is_cut_off(products: Any) -> None:
    await products.insert_one({"sku": "x" * 900})
    assert await told(products.insert_one({"sku": "x" * 900})) == (
        f'A write to products was refused: its sku "{"x" * 78}… is taken already (unique index sku_1).'
    )


async def test_a_bulk_names_how_many_were_refused_and_the_first(products: Any) -> None:
    writes = [InsertOne({"sku": "A" if number % 2 else f"{number}"}) for number in range(9)]
    assert await told(products.bulk_write(writes, ordered=False)) == (
        f"4 writes of a bulk to products were refused, the first with index 1: {TAKEN}"
    )
    assert await told(products.insert_many([{"sku": "B"}, {"sku": "A", "text": "x" * 5000}])) == (
        f"The write with index 1 of a bulk to products was refused: {TAKEN}"
    )


async def test_a_bulk_that_is_refused_for_another_reason(products: Any) -> None:
    sentence = await told(products.bulk_write([UpdateOne({"_id": 1}, {"$inc": {"sku": 1}})]))
    assert re.match(r"The write with index 0 of a bulk to products was refused: .*\$inc.*non-numeric.*\.", sentence)


async def test_a_document_that_is_too_large(products: Any) -> None:
    sentence = await told(products.insert_one({"text": "x" * 17_000_000}))
    assert re.match(
        r"A document for products is too large for the database: it has 17,000,\d+ bytes, of 16,\d+,\d+ at most\.",
        sentence,
    )
    assert await told(products.update_one({}, {"$set": {"text": "x" * 17_000_000}})) == (
        "A document for products is too large for the database."
    )


async def test_a_document_that_cannot_be_stored(products: Any) -> None:
    assert (await told(products.insert_one({"sku": object()}))).startswith("A document for products cannot be stored: ")


async def test_a_query_that_is_refused(products: Any) -> None:
    sentence = await told(products.find({"$bad": 1}).to_list(None))
    assert re.match(r"The database refused a call of products: unknown .*\$bad.* \(BadValue\)\.", sentence)
    assert "full error" not in sentence


@pytest.mark.embedded
async def test_a_user_who_may_not(mongo_url: str, catalog: Catalog, products: Any) -> None:
    await products.find_one({})
    client, name = catalog.client, f"reader_{catalog.name}"
    await client.admin.command("createUser", name, pwd="secret", roles=[{"role": "read", "db": catalog.name}])
    address = mongo_url.rpartition("@")[2].partition("/")[0]
    reader: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        f"mongodb://{name}:secret@{address}/?authSource=admin"
    )
    sentence = await told(reader[catalog.name]["products"].insert_one({"sku": "B"}))
    reader.close()
    assert re.match(r"The database refused a call of products: not authorized on .* \(Unauthorized\)\.", sentence)


async def test_a_database_that_is_not_there() -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        "mongodb://127.0.0.1:1", serverSelectionTimeoutMS=100
    )
    sentence = await told(client["shop"]["products"].find_one({}))
    client.close()
    assert sentence == "The database cannot be reached: 127.0.0.1:1: [Errno 111] Connection refused."


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (AutoReconnect("db:27017: timed out"), "The connection to the database broke: db:27017: timed out."),
        (BulkWriteError({"writeErrors": [{"index": 3, "code": 8}]}), "The write with index 3 of a bulk was refused"),
        (
            BulkWriteError({"writeConcernErrors": [{"errmsg": "waiting for replication timed out"}]}),
            "Not enough servers have confirmed a bulk: waiting for replication timed out.",
        ),
        (
            DuplicateKeyError('E11000 duplicate key error collection: a.b.c index: x_1 dup key: { x: "1" }', 11000, {}),
            'A write to b.c was refused: its key { x: "1" } is taken already (unique index x_1).',
        ),
        (DocumentTooLarge("too large"), "A document is too large for the database."),
        (PyMongoError("Cannot use MongoClient after close"), "The database driver failed: Cannot use MongoClient"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_that_say_less(error: Exception, sentence: str) -> None:
    assert (driver_sentence(error) or "").startswith(sentence)


def test_other_errors_are_none_of_the_drivers() -> None:
    assert driver_sentence(OSError("the disk is on fire")) is None

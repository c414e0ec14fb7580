"""Looking up what the catalogue has of the records in a file, in the way that costs least."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pydantic import BaseModel
from pydantic_core import from_json

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.lookup import KEYS_IN_A_QUERY
from batchbus_strategies.records.fields import WITH_BLANKS, Field
from batchbus_strategies.records.indexes import element_index, indexes_of
from batchbus_strategies.records.schema import Schema, Unique
from batchbus_strategies.records.staging import Staging
from batchbus_strategies.strategy import Document, Fields, FieldValue

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.strategy import JobRun

__all__ = ["look_up_existing"]

_BATCH: Final = 500
_SMALL_COLLECTION: Final = 1000
_Question = Callable[[Sequence[str]], Document]
"""Makes the query for documents that have one of some values of the file."""


async def look_up_existing(run: JobRun[BaseModel], schema: Schema, staging: Staging) -> int:
    """Add to the staging database every document that has an id, a key or a unique value of the file.

    A collection that is not much larger than the file is read from end to end with one cursor; of a larger one only
    what the file names, by its indexes. Returns how many documents the collection has, about.
    """
    raw = CodecOptions(document_class=RawBSONDocument)
    documents = cast(
        "AsyncIOMotorCollection[RawBSONDocument]", run.catalog[schema.record.collection].with_options(codec_options=raw)
    )
    size = await documents.estimated_document_count()
    if size == 0 and await documents.find_one({}) is None:
        return 0
    await asyncio.to_thread(staging.begin_comparing)
    read_whole = size <= max(_SMALL_COLLECTION, 4 * staging.records)
    indexes = await indexes_of(run.catalog, schema) if schema.unique_in_elements else set[str]()
    batches = _whole(documents, LIVING) if read_whole else _named(documents, schema, staging, indexes)
    async for batch in batches:
        await asyncio.to_thread(staging.add_existing, [bytes(found.raw) for found in batch])
        await run.advance(0, message="Comparing with the catalogue")
    await asyncio.to_thread(staging.match)
    return size


async def _whole(
    documents: AsyncIOMotorCollection[RawBSONDocument], query: Fields
) -> AsyncIterator[Sequence[RawBSONDocument]]:
    cursor = documents.find(query, batch_size=_BATCH)
    while batch := await cursor.to_list(_BATCH):
        yield batch


async def _named(
    documents: AsyncIOMotorCollection[RawBSONDocument], schema: Schema, staging: Staging, indexes: Collection[str]
) -> AsyncIterator[Sequence[RawBSONDocument]]:
    questions: list[tuple[Iterator[list[str]], _Question]] = [
        (staging.named("id", KEYS_IN_A_QUERY), _ids),
        (staging.named("key", KEYS_IN_A_QUERY), _keys(schema.keys)),
    ]
    if any(map(_is_text, schema.keys)):
        questions.append((staging.named("raw", KEYS_IN_A_QUERY), _keys(schema.keys)))
    questions.append((staging.held("key", KEYS_IN_A_QUERY), _keys(schema.keys)))
    unindexed = []
    for unique in schema.unique:
        if unique.of_elements and element_index(unique) not in indexes:
            unindexed.append(unique)
        else:
            questions.append((staging.held(unique.name, KEYS_IN_A_QUERY), _values(unique)))
    for values, question in questions:
        while batch := await asyncio.to_thread(next, values, None):
            if found := await documents.find({**question(batch), **LIVING}).to_list(None):
                yield found
    # What has blanks around it is not found by what files have: the server looks for it among all values of the field.
    for path in [unique.name for unique in schema.unique if unique not in unindexed and _is_text(unique.field)]:
        if await asyncio.to_thread(next, staging.held(path, 1), None):
            async for some in _whole(documents, {path: {"$regex": WITH_BLANKS}, **LIVING}):
                yield some
    # Elements are looked at themselves, since a document of another service may lack the field that repeats their values.
    # Before the first import there is no index for that: then reading every document once is what costs least.
    if any([await asyncio.to_thread(next, staging.held(unique.name, 1), None) for unique in unindexed]):
        async for every in _whole(documents, LIVING):
            yield every


def _is_text(field: Field) -> bool:
    return field.type.code == "text"


def _ids(values: Sequence[str]) -> Document:
    return {"_id": {"$in": list(values)}}


def _keys(fields: Sequence[Field]) -> _Question:
    def question(values: Sequence[str]) -> Document:
        keys = [from_json(value) for value in values]
        if len(fields) == 1:
            return {fields[0].path: {"$in": [_stored(fields[0], key[0]) for key in keys]}}
        return {
            "$or": [{field.path: _stored(field, part) for field, part in zip(fields, key, strict=True)} for key in keys]
        }

    return question


def _values(unique: Unique) -> _Question:
    return lambda values: {unique.name: {"$in": [_stored(unique.field, value) for value in values]}}


def _stored(field: Field, text: str) -> FieldValue:
    """A text of a cell as the catalogue has it; texts with the blanks around them."""
    return text if _is_text(field) else field.type.parse(text)

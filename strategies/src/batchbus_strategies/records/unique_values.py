"""Fields that repeat the unique values of a record's elements, since a unique index over the elements themselves would
depend on how a server treats those without the field, and would count those that are deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.fields import value_at
from batchbus_strategies.records.plan import Create, Delete, Update
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

__all__ = ["release_stale_values", "repeated_values"]

_ASKED: Final = 100
"""For one query: simple planners take quadratic time for long lists."""


def repeated_values(schema: Schema, document: Fields) -> dict[str, tuple[list[FieldValue], str]]:
    """By index field: the values of the elements that are not deleted, and the path of the field in the elements."""
    found: dict[str, tuple[list[FieldValue], str]] = {}
    elements = schema.elements(document)
    for unique in schema.unique_in_elements:
        values = [value_at(each, unique.field.path) for each in elements]
        found[str(unique.field.index)] = (
            [each for each in values if each is not None and each != ""],
            unique.field.path,
        )
    return found


async def release_stale_values(
    documents: AsyncIOMotorCollection[Document], schema: Schema, operations: Iterable[Create | Update | Delete]
) -> bool:
    """Take out of the index fields what belongs to deleted elements alone, as far as the operations want to have it.

    Services that delete an element may not know of those fields. Returns whether there was any such value.
    """
    wanted: dict[str, list[FieldValue]] = defaultdict(list)
    for operation in operations:
        for index, value in _wanted(schema, operation):
            wanted[index].append(value)
    released = False
    for index, values in wanted.items():
        for first in range(0, len(values), _ASKED):
            some = values[first : first + _ASKED]
            for holder in await documents.find({index: {"$in": some}, **LIVING}).to_list(None):
                living = repeated_values(schema, holder)[index][0]
                if set(living) >= set(holder[index]).intersection(some):
                    continue
                change = {"$set": {index: living}} if living else {"$unset": {index: ""}}
                rows = schema.rows.path if schema.rows else ""
                same = {"_id": holder["_id"], index: {"$eq": holder[index]}, rows: {"$eq": holder.get(rows)}}
                released |= (await documents.update_one(same, change)).matched_count == 1
    return released


def _wanted(schema: Schema, operation: Create | Update | Delete) -> Iterable[tuple[str, FieldValue]]:
    """The values that elements of a record get by an operation, each with its index field."""
    if operation["op"] == "create":
        for index, (values, _) in repeated_values(schema, operation["document"]).items():
            yield from ((index, value) for value in values)
    elif operation["op"] == "update" and schema.rows is not None:
        rows = schema.rows.path
        for path, change in operation["changes"].items():
            new = change.get("new")
            elements = new if isinstance(new, list) and path == rows else [new]
            for unique in schema.unique_in_elements:
                for each in elements:
                    value = value_at(each, unique.field.path) if isinstance(each, Mapping) else None
                    if path.startswith(f"{rows}[") and path.endswith(f"].{unique.field.path}"):
                        value = new
                    if value is not None:
                        yield str(unique.field.index), value

"""Whether a value of the file is what the catalogue has, and what a list or a dict becomes that the file names in part."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from bson.decimal128 import Decimal128

from batchbus_strategies.catalog.ids import derived_id
from batchbus_strategies.records.columns import Items
from batchbus_strategies.records.fields import Field, is_living, trimmed
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["ABSENT", "new_items", "same", "wanted_value"]


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final[FieldValue] = _Absent()
"""What a document has where it has nothing, which is not the same as null."""
_SIMPLE: Final = frozenset({str, int, bool, types.NoneType})


def same(one: object, other: object) -> bool:
    """Whether they say the same: null, an empty text, list or object, and nothing do; so do numbers of any kind."""
    if type(one) is type(other) and type(one) in _SIMPLE:
        return bool(one == other)
    if _says_nothing(one) or _says_nothing(other):
        return _says_nothing(one) and _says_nothing(other)
    match one, other:
        case Mapping(), Mapping():
            return all(same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
        case (list() | tuple(), list() | tuple()):
            return len(one) == len(other) and all(map(same, one, other))
        case datetime(), datetime():
            return _in_utc(one) == _in_utc(other)
        case (bool(), _) | (_, bool()):
            return one is other
        case _:
            return bool(_number(one) == _number(other))


def wanted_value(field: Field, value: FieldValue, old: object) -> FieldValue:
    """What the field is to have, given what the file says of it and what it has."""
    if field.shape == "named":
        kept = dict(old) if isinstance(old, Mapping) else {}
        merged = {**kept, **value}
        return {key: item for key, item in merged.items() if item is not None}
    if field.items is not None:
        return _with_items(field, field.items, value, old if isinstance(old, list) else [])
    if field.parts and isinstance(old, list):
        return _with_what_is_kept(field.parts, value, old)
    if value is None and ((field.unique and field.index is None) or not field.nullable):
        return ABSENT
    if field.trimmed and isinstance(old, str) and trimmed(old) == value:
        return old  # it differs in the blanks around it alone, which is no edit
    return value


def new_items(field: Field, values: Sequence[str]) -> list[Document]:
    """The elements of a field that has `Items`."""
    assert field.items is not None
    return [_new_item(field, field.items, value) for value in values]


def _with_items(field: Field, items: Items, values: Sequence[str], old: Sequence[FieldValue]) -> Sequence[FieldValue]:
    there = {each[items.field]: each for each in reversed(old) if is_living(each) and each.get(items.field)}
    if list(values) == list(
        dict.fromkeys(each[items.field] for each in old if is_living(each) and each.get(items.field))
    ):
        return old
    return [there[value] if value in there else _new_item(field, items, value) for value in values]


def _new_item(field: Field, items: Items, value: str) -> Document:
    id_ = {} if items.id_prefix is None else {"id": derived_id(items.id_prefix, value)}
    return {**id_, **field.unwritten(), items.field: value}


def _with_what_is_kept(parts: Sequence[Field], values: Sequence[Fields], old: Sequence[FieldValue]) -> list[FieldValue]:
    """Elements that are there already stay as they are, with fields that no column has."""
    kept = [each for each in old if isinstance(each, Mapping)]
    result: list[FieldValue] = []
    for value in values:
        paths = [part.path for part in parts if part.path in value]
        found = next((each for each in kept if all(same(each.get(path), value[path]) for path in paths)), None)
        if found is None:
            result.append(dict(value))
        else:
            kept.remove(found)
            result.append(found)
    return result


def _says_nothing(value: object) -> bool:
    return value is None or value is ABSENT or (not value and isinstance(value, list | Mapping | str))


def _in_utc(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.replace(microsecond=aware.microsecond // 1000 * 1000)


def _number(value: object) -> FieldValue:
    match value:
        case Decimal128():
            return value.to_decimal()
        case float():
            return Decimal(repr(value))
        case _:
            return value

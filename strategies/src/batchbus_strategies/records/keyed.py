"""Lists whose elements have identities, and dicts: who an element is, and what becomes of it by a change of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from batchbus_strategies.records.comparing import ABSENT, same
from batchbus_strategies.records.families import FamilyColumn
from batchbus_strategies.records.fields import Field, is_living, remove_at, set_at, value_at
from batchbus_strategies.records.paths import element_path
from batchbus_strategies.records.plan import Change, change_of
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = [
    "Changed",
    "Identity",
    "changed",
    "changed_value",
    "family_changes",
    "find",
    "identities",
    "new_items",
    "still_same",
    "with_change",
    "with_value",
]

_OF_APPLYING: Final = ("created_at", "updated_at")
"""Fields of elements that plans say nothing of."""

Identity = Callable[[Fields], str | None]
"""Who an element of a list is; None for one that changes of a plan are never about."""


class Changed(Exception):
    """Someone else has changed the same since the plan was made. The message says what, for people."""


def identities(schema: Schema, *, of_elements: bool) -> dict[str, Identity]:
    """By the path of each list of a record, or of its elements, whose elements have identities."""
    names = schema.combination.combination.names if schema.combination and schema.combination.combination else None
    fields: Sequence[Field] = schema.fields
    found: dict[str, Identity] = {}
    if of_elements:
        fields = schema.rows.parts if schema.rows else ()
        if names is not None and schema.combination is not None:
            found[schema.combination.path] = _named(names.refers)
    else:
        if schema.rows is not None:
            found[schema.rows.path] = _named("id")
        if names is not None:
            found[names.field] = _named("id")
    return found | {each.path: each.family.columns.identity for each in fields if each.family is not None}


def _named(field: str) -> Identity:
    def identity(element: Fields) -> str | None:
        value = element.get(field)
        return None if value is None else str(value)

    return identity


def find(elements: Sequence[FieldValue], identity: Identity, wanted: str) -> int | None:
    """Where the first element is that is that one, and is not deleted."""
    for place, each in enumerate(elements):
        if is_living(each) and identity(each) == wanted:
            return place
    return None


def still_same(now: object, planned: object) -> bool:
    """Whether it is what a plan says, apart from the times that applying it has added."""
    return same(_without_times(now), _without_times(planned))


def _without_times(value: object) -> FieldValue:
    if isinstance(value, Mapping):
        kept = {name: each for name, each in value.items() if name not in _OF_APPLYING}
        return {name: each for name, each in kept.items() if name != "deleted_at" or each is not None}
    if isinstance(value, list):
        return [_without_times(each) for each in value]
    return value


def with_change(
    container: Any, identity: Identity | None, wanted: str, rest: str, change: Change, owner: str, name: str
) -> list[FieldValue] | Document:
    """A list, or a dict if there is no `identity`, as it is with the change. Raises `Changed`.

    `rest`: which field of the element; empty for all of it. `owner` and `name`: whose is changed and what, for the message.
    """
    if identity is None:
        values = dict(container) if isinstance(container, Mapping) else {}
        result = changed_value(values.get(wanted, ABSENT), change, owner, name)
        if result is ABSENT:
            values.pop(wanted, None)
        else:
            values[wanted] = result
        return values
    elements = list(container) if isinstance(container, list) else []
    place = find(elements, identity, wanted)
    if rest:
        if place is None:
            raise changed(owner, name)
        now = value_at(elements[place], rest, ABSENT)
        result = changed_value(now, change, owner, name)
        elements[place] = with_value(elements[place], rest, result)
        return elements
    result = changed_value(ABSENT if place is None else elements[place], change, owner, name)
    if result is ABSENT:
        if place is not None:
            del elements[place]
    elif place is None:
        elements.append(result)
    else:
        elements[place] = result
    return elements


def with_value(document: Fields, path: str, value: object) -> Document:
    """A copy with another value at a path with dots; `ABSENT` takes away what is there."""
    copy = _copied(document, path)
    if value is ABSENT:
        remove_at(copy, path)
    else:
        set_at(copy, path, value)
    return copy


def _copied(element: Fields, path: str) -> Document:
    """A copy, down to what is at the path."""
    copy = dict(element)
    name, _, rest = path.partition(".")
    if rest and isinstance(copy.get(name), Mapping):
        copy[name] = _copied(copy[name], rest)
    return copy


def changed(owner: str, name: str) -> Changed:
    """The error that somebody else has changed the same."""
    return Changed(f"{owner} has another {name} than when the plan was made")


def changed_value(now: object, change: Change, owner: str, name: str) -> FieldValue:
    """What is to be there. Raises `Changed` if there is neither what there was nor what there is to be."""
    old, new = change.get("old", ABSENT), change.get("new", ABSENT)
    if still_same(now, new) or (isinstance(now, Mapping) and still_same(_without_id(now), _without_id(new))):
        return now  # someone else has done the same
    if not still_same(now, old):
        raise changed(owner, name)
    return new


def _without_id(element: object) -> FieldValue:
    return {name: each for name, each in element.items() if name != "id"} if isinstance(element, Mapping) else element


# -- families of columns -----------------------------------------------------------------------------------------------


def new_items(field: Field, cells: Fields, columns: Mapping[str, FamilyColumn], ids: Iterator[str]) -> list[Document]:
    """The elements of a list that is new, given what the row says by identity."""
    return [_new_item(field, columns[each], fields, ids) for each, fields in cells.items() if fields is not None]


def _new_item(field: Field, column: FamilyColumn, fields: Fields, ids: Iterator[str]) -> Document:
    assert field.family
    prefix = field.family.id_prefix
    id_ = {} if prefix is None else {"id": prefix + next(ids)}
    return {**id_, **field.unwritten(), **column.new, **fields}


def family_changes(
    field: Field,
    owner: Fields,
    cells: Fields,
    columns: Mapping[str, FamilyColumn],
    ids: Iterator[str],
) -> Iterator[tuple[str, Change]]:
    """What the cells of a row change in a list that an owner has, by paths from there on."""
    assert field.family
    now = value_at(owner, field.path, ABSENT)
    if not isinstance(now, list):
        if items := new_items(field, cells, columns, ids):
            yield field.path, change_of(now, items)
        return
    for identity, fields in cells.items():
        place = find(now, field.family.columns.identity, identity)
        if place is None:
            if fields is not None:
                item = _new_item(field, columns[identity], fields, ids)
                yield element_path(field.path, identity), change_of(ABSENT, item)
        elif fields is None:
            yield element_path(field.path, identity), change_of(now[place], ABSENT)
        else:
            for name, value in fields.items():
                old = now[place].get(name, ABSENT)
                if not same(old, value):
                    yield element_path(field.path, identity, name), change_of(old, value)

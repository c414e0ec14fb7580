"""Which records an export is about: from the job's context to a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.cells import parse_time
from batchbus_strategies.records.fields import Field as SchemaField
from batchbus_strategies.records.fields import plain
from batchbus_strategies.records.schema import DeclaredColumn, Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue, JobRefused
from batchbus_strategies.tables import shortened

__all__ = ["RecordExportContext", "Selection", "chosen_columns", "order_of", "query_of"]

_COMPARISONS: Final = {"lt": "$lt", "lte": "$lte", "gt": "$gt", "gte": "$gte"}
_TIMES: Final = ("created_at", "updated_at")
_SINGLE: Final = ("one", "id")
"""The shapes of fields that have one value each."""


class RecordExportContext(BaseModel):
    """Further keys are kept and ignored."""

    model_config = ConfigDict(extra="allow")

    filterable_fields: Document = Field(default_factory=dict)
    """By column or field: a value as a cell has it, a list of such values, or an object of `lt`, `lte`, `gt`, `gte`."""
    order: str = "created_at"
    """A column or field, with a minus in front for descending; records with the same value are in the order of their ids."""
    fields: list[str] | None = None
    """Columns to write, in this order; all of them if there are none given."""
    batch_size: int | None = Field(default=None, ge=1)
    """Export no more records than this."""
    format: Literal["csv", "tsv", "xlsx", "jsonl", "json"] = "csv"
    compression: Literal["gzip"] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records an export has, and in which order."""

    query: Document
    sort: list[tuple[str, int]]
    """As MongoDB takes it."""
    skip: int = 0
    limit: int | None = None


def query_of(schema: Schema, fields: Fields) -> Document:
    """Raises `JobRefused` for a filter that there is not, or a wrong value."""
    conditions: list[Document] = [dict(LIVING)]
    for name, value in fields.items():
        field = f"filterable_fields.{name}"
        path, parse = _filter(schema, name, field)
        try:
            conditions.append({path: _condition(value, parse)})
        except ValueError as error:
            raise JobRefused(f"The filter {name}: {error}", field=field) from None
    return {"$and": conditions} if len(conditions) > 1 else conditions[0]


def _filter(schema: Schema, name: str, where: str) -> tuple[str, Callable[[str], FieldValue]]:
    """The path, and what makes a value of a cell."""
    if name in _TIMES:
        return name, parse_time
    if name == "id":
        return "_id", str
    found = _named(schema, name)
    if found is None or found.shape not in _SINGLE:
        there_are = ", ".join(["id", *(each.column for each in schema.named if each.shape in _SINGLE), *_TIMES])
        raise JobRefused(f"There is no filter {shortened(name)!r}; there are {there_are}", field=where)
    if found.reference is not None:
        return found.path, str
    return found.path, found.type.parse


def _named(schema: Schema, name: str) -> SchemaField | None:
    """The field of that path, or with that column."""
    for each in schema.named:
        if name == each.path or plain(name) in (plain(each.column), *map(plain, each.also)):
            return each
    return None


def _condition(value: object, parse: Callable[[str], FieldValue]) -> FieldValue:
    match value:
        case None:
            return None
        case dict():
            if not value or not value.keys() <= _COMPARISONS.keys():
                raise ValueError("an object has lt, lte, gt or gte")
            return {_COMPARISONS[name]: parse(_text(bound)) for name, bound in value.items()}
        case list():
            return {"$in": [parse(_text(each)) for each in value]}
        case _:
            return parse(_text(value))


def _text(value: object) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str() | int() | float():
            return str(value)
        case _:
            raise ValueError("takes texts and numbers")


def order_of(schema: Schema, order: str) -> list[tuple[str, int]]:
    """As MongoDB takes it. Raises `JobRefused`."""
    name, direction = order.removeprefix("-"), -1 if order.startswith("-") else 1
    if name in ("id", "_id"):
        return [("_id", direction)]
    found = _named(schema, name)
    if name not in _TIMES and (found is None or found.shape not in _SINGLE):
        raise JobRefused(f"{schema.name.capitalize()} records cannot be ordered by {shortened(name)!r}", field="order")
    return [(found.path if found else name, direction), ("_id", direction)]


def chosen_columns(schema: Schema, names: Sequence[str] | None, *, field: str = "fields") -> list[DeclaredColumn]:
    """The columns that are to be written, in their order; parts of numbered fields for themselves.

    Raises `JobRefused` for a name that is none; `field` is where in the context the names are.
    """
    if names is None:
        return list(schema.columns)
    chosen = []
    for name in names:
        wanted = plain(name)
        found = next((each for each in schema.columns if wanted in map(plain, _names_of(each))), None)
        if found is None:
            there_are = ", ".join(each.field.column for each in schema.columns)
            raise JobRefused(f"There is no column {shortened(name)!r}; there are {there_are}", field=field)
        chosen.append(found)
    return chosen


def _names_of(column: DeclaredColumn) -> tuple[str, ...]:
    """A field of an element is named by its path from the record on."""
    path = column.name if column.of_element else column.field.path
    return (column.field.column, *column.field.also, path)

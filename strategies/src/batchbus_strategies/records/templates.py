"""The columns of a record's files, explained in words, with an example of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchbus_strategies.records.schema import Field, Schema, ordered_parts
from batchbus_strategies.strategy import ColumnHelp

__all__ = ["explained"]

_EXAMPLE_ULID: Final = "01JZ0000000000000000000000"


def explained(schema: Schema) -> list[ColumnHelp]:
    """Every column that a file may have; of numbered ones the first, of named ones one with a made-up name."""
    return list(_explained(schema))


def _explained(schema: Schema) -> Iterator[ColumnHelp]:
    if schema.record.id_column:
        says = f"the id of an existing {schema.name}"
        if schema.keys:
            yield ColumnHelp(schema.record.id_column, f"{says}; empty for one that is found by its key, or is new", "")
        else:
            example = f"{schema.record.id_prefix}{_EXAMPLE_ULID}"
            yield ColumnHelp(schema.record.id_column, f"{says}; it tells which record the row is about", example)
    for field in ordered_parts(schema.fields):
        if field.shown is not None:
            continue  # nobody fills in what an import does not take
        name = field.column.replace("<n>", "1").replace("<name>", "Example")
        yield ColumnHelp(name, _says(field), "" if field.reference else field.example)


def _says(field: Field) -> str:
    says = field.type.says
    if field.reference is not None:
        several = "of some of" if field.type.code == "list" else "of one of"
        says = f"the {field.reference.by} {several} {field.reference.collection}"
        says += ", separated by commas" if field.type.code == "list" else ""
        says += {"refuse": "", "create": ", which is created if there is none", "skip": ", left out if there is none"}[
            field.reference.missing
        ]
    if field.key:
        says += "; it tells which record the row is about"
    if field.unique:
        says += "; no two records may have the same"
    if not field.key:
        says += "; an empty cell " + ("clears it" if field.empty == "clears" else "leaves it as it is")
    if field.required and not field.key:
        says += "; a new record needs it"
    if "<n>" in field.column:
        says += "; as many as there are, numbered from 1"
    if "<name>" in field.column:
        says += "; one column for each name"
    return f"{field.description}: {says}" if field.description else says

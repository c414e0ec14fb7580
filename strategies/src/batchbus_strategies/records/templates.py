"""The columns of a record's files, explained in words, with an example of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchbus_strategies.records.fields import Field
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import ColumnHelp

__all__ = ["explained"]

_EXAMPLE_ULID: Final = "01JZ0000000000000000000000"


def explained(schema: Schema) -> list[ColumnHelp]:
    """Every column that a file may have; of numbered ones the first, of named ones one with a made-up name."""
    return list(_explained(schema))


def _explained(schema: Schema) -> Iterator[ColumnHelp]:
    for column in schema.columns:
        field = column.field
        noun = schema.rows.part_name if schema.rows and column.of_element else schema.name
        if field.shown is not None:
            continue  # nobody fills in what an import does not take
        if field.shape == "id":
            says = f"the id of an existing {noun}"
            if column.of_element or schema.keys:
                found = "is found by what is unique in it" if column.of_element else "is found by its key"
                yield ColumnHelp(field.column, f"{says}; empty for one that {found}, or is new", "")
            else:
                example = f"{schema.record.id_prefix}{_EXAMPLE_ULID}"
                yield ColumnHelp(field.column, f"{says}; it tells which record the row is about", example)
        elif field.family is not None:
            name, cell = field.family.columns.example
            says = field.family.columns.says or f"one of {field.family.columns.pattern}"
            yield ColumnHelp(name, f"{says}; an empty cell removes it", cell)
        elif field.copied is not None:
            yield from _of_copies(field)
        elif field.combination is not None:
            names = (field.column.replace("<n>", "1"), field.also[0].replace("<n>", "1"))
            says = f"what the rows of a {schema.name} differ in; as many as there are, numbered from 1"
            yield ColumnHelp(names[0], says, "Size")
            yield ColumnHelp(names[1], f"the {noun}'s value of that; no two may have the same of all", "L")
        else:
            name = field.column.replace("<n>", "1").replace("<name>", "Example")
            yield ColumnHelp(name, _says(field, noun), "" if field.reference else field.example)


def _of_copies(field: Field) -> Iterator[ColumnHelp]:
    assert field.copied
    missing = {
        "refuse": "",
        "create": ", which is created if there is none",
        "skip": "; one that does not exist is skipped",
    }
    fields = list(field.copied.by)
    for number, (by, column) in enumerate(field.copied.by.items()):
        says = f"the {by} of a {field.part_name}{missing[field.copied.missing]}"
        if number:
            says += f"; it is looked at where the {fields[0]} is empty or finds none"
        if field.several:
            says += "; as many as there are, numbered from 1"
        example = field.example if field.copied.missing == "create" and not number else ""
        yield ColumnHelp(column.replace("<n>", "1"), says, example)


def _says(field: Field, noun: str) -> str:
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
        says += f"; no other {noun} may have the same"
    if not field.key:
        says += "; an empty cell " + ("clears it" if field.empty == "clears" else "leaves it as it is")
    if field.required and not field.key:
        says += f"; a new {noun} needs it"
    if "<n>" in field.column:
        says += "; as many as there are, numbered from 1"
    if "<name>" in field.column:
        says += "; one column for each name"
    return f"{field.description}: {says}" if field.description else says

"""Templates: a file with the header and one example row, and its columns explained in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchbus_strategies.records.fields import Field
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.tables import csv_cell, csv_line

__all__ = ["ColumnHelp", "csv_template", "explained"]


@dataclass(frozen=True, slots=True)
class ColumnHelp:
    """A column of a template."""

    name: str
    says: str
    """What its cells hold, and whether it is needed."""
    example: str


def csv_template(schema: Schema) -> bytes:
    """UTF-8, with commas."""
    columns = explained(schema)
    header = csv_line((csv_cell(column.name) for column in columns), delimiter=",")
    return (header + csv_line((csv_cell(column.example) for column in columns), delimiter=",")).encode()


def explained(schema: Schema) -> list[ColumnHelp]:
    """Every column that a file may have; of numbered ones the first, of named ones one with a made-up name."""
    return list(_explained(schema))


def _explained(schema: Schema) -> Iterator[ColumnHelp]:
    for column in schema.columns:
        field = column.field
        noun = schema.rows.part_name if schema.rows and column.of_element else schema.name
        if field.shape == "id":
            found = "is found by what is unique in it" if column.of_element else "is found by its key"
            says = f"the id of a {noun} that exists; empty for one that {found}, or is new"
            yield ColumnHelp(field.column, says, "")
        elif field.family is not None:
            name, cell = field.family.columns.example
            says = field.family.columns.says or f"one of {field.family.columns.pattern}"
            yield ColumnHelp(name, f"{says}; an empty cell removes it", cell)
        elif field.combination is not None:
            names = (field.column.replace("<n>", "1"), field.also[0].replace("<n>", "1"))
            says = f"what the rows of a {schema.name} differ in; as many as there are, numbered from 1"
            yield ColumnHelp(names[0], says, "Size")
            yield ColumnHelp(names[1], f"the {noun}'s value of that; no two may have the same of all", "L")
        else:
            name = field.column.replace("<n>", "1").replace("<name>", "Example")
            yield ColumnHelp(name, _says(field, noun), "" if field.reference else field.example)


def _says(field: Field, noun: str) -> str:
    says = field.type.says
    if field.reference is not None:
        says = f"the {field.reference.by} of one of {field.reference.collection}"
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

"""The staging database of records that span several rows: each row is kept under its record."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from batchbus_strategies.records.comparing import same
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.rows import RowValues
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRow, packed, unpacked
from batchbus_strategies.records.staging import (
    PARAMETERS,
    Held,
    ReadRow,
    Staging,
    in_batches,
    json_key,
    placeholders,
)
from batchbus_strategies.strategy import Document, FieldValue

__all__ = ["RowStaging", "differs"]

_SCHEMA: Final = """
    CREATE TABLE name (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE rows (               -- of one record, as many as came together
        number INTEGER, line INTEGER, length INTEGER, content BLOB, PRIMARY KEY (number, line)
    ) WITHOUT ROWID;
"""
MOST_ROWS: Final = 10_000
"""Of one record, which is planned in memory. A document has no room for many more elements than that."""
_Row = tuple[int, str | None, Document | None, str | None, bool, Document]
"""The fields of a `StagedRow`."""


class RowStaging(Staging):
    """One file's staging database. A row that names a record by its id and by its key is found by either."""

    def __init__(self, database: sqlite3.Connection, schema: Schema) -> None:
        super().__init__(database, schema)
        self._elements_unique = schema.unique_in_elements
        self._first_row_only = (
            schema.rows is not None and schema.rows.rows is not None and schema.rows.rows.first_row_only
        )
        self._run(_SCHEMA)

    def add(self, rows: Sequence[ReadRow]) -> None:
        names_of = [[] if row is None else list(self._names(row)) for row, _ in rows]
        known = self._numbers([name for each in names_of for name in each])
        firsts: dict[int, RowValues] = {}
        new: list[tuple[object, ...]] = []
        names: list[tuple[str, int]] = []
        rows_of: dict[int, list[_Row]] = {}
        errors: list[tuple[int, CellError]] = []
        held: list[Held] = []
        for (row, found), its_names in zip(rows, names_of, strict=True):
            if row is None:
                self._nameless(found, new, errors)
                continue
            number = next((known[name] for name in its_names if name in known), None)
            own: Document = {}
            if number is None or not self._first_row_only:
                found = [*row.errors, *found]
            if number is None:
                new.append(self._new(row, None))
                number = self.records
                firsts[number] = row
                for name in its_names:
                    known[name] = number
                    names.append((name, number))
                held += self._held(number, row)
            elif not self._first_row_only:
                own = _what_differs(row, firsts.get(number))
            held += self._held_by_element(number, row)
            kept = (row.line, row.element_id, row.element, row.id, row.delete, own)
            rows_of.setdefault(number, []).append(kept)
            errors += [(number, error) for error in found]
        self._insert(new, [], held, errors)
        self._database.executemany("INSERT OR IGNORE INTO name VALUES (?, ?)", names)
        self._database.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?)",
            [(number, some[0][0], len(some), packed(some)) for number, some in rows_of.items()],
        )

    def _held_by_element(self, number: int, row: RowValues) -> Iterator[Held]:
        for unique in self._elements_unique:
            if row.element is not None and (value := row.element.get(unique.field.path)) is not None:
                yield unique.name, unique.field.as_key(value), number, row.line, row.element_id

    def _names(self, row: RowValues) -> Iterator[str]:
        """What the record of a row may be known by, the surer one first. Where keys find nothing in the catalogue, two that
        differ in blanks alone may be of two records that are there, which are named by their ids."""
        if not self._schema.record.found_by_key:
            yield f"key {json_key(row.key if row.id is None else row.raw_key)}"
            return
        if row.id is not None:
            yield f"id {row.id}"
        if row.key is not None:
            yield f"key {json_key(row.key)}"

    def _numbers(self, names: Sequence[str]) -> dict[str, int]:
        """Of the records that have been seen."""
        found: dict[str, int] = {}
        for some in in_batches(list(dict.fromkeys(names)), PARAMETERS):
            found |= self._database.execute(
                f"SELECT name, number FROM name WHERE name IN ({placeholders(some)})", some
            ).fetchall()
        return found

    def finish_reading(self) -> None:
        """Also adds an error to each record that has too many rows, and keeps nothing of those but their line numbers."""
        super().finish_reading()
        execute = self._database.execute
        execute(
            f"""INSERT INTO error SELECT number, min(line), NULL, 'too_many_rows',
                    'one {self._schema.name} has ' || sum(length) || ' rows; it may have {MOST_ROWS:,}', NULL, NULL
                FROM rows GROUP BY number HAVING sum(length) > {MOST_ROWS}"""
        )
        for (number,) in execute("SELECT number FROM error WHERE code = 'too_many_rows'").fetchall():
            for (content,) in execute("SELECT content FROM rows WHERE number = ?", (number,)):
                lines = [(number, line) for line, *_ in unpacked(content)]
                self._database.executemany("INSERT OR IGNORE INTO line VALUES (?, ?)", lines)
            execute("DELETE FROM rows WHERE number = ?", (number,))

    def _rows_of(self, first: int, last: int) -> Mapping[int, list[StagedRow]]:
        found: dict[int, list[StagedRow]] = defaultdict(list)
        for number, content in self._database.execute(
            "SELECT number, content FROM rows WHERE number BETWEEN ? AND ? ORDER BY number, line", (first, last)
        ):
            found[number] += map(StagedRow._make, unpacked(content))
        return found


def _what_differs(row: RowValues, first: RowValues | None) -> Document:
    """What a later row says of the record, without empty cells, and without what is known to be that of the first row."""
    said = {path: value for path, each in row.values.items() if not same(value := _said(each), None)}
    if first is None:
        return said
    return {path: value for path, value in said.items() if differs(value, first.values.get(path))}


def _said(value: object) -> FieldValue:
    """Of what stands in several columns, those that are not empty."""
    return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


def differs(later: object, first: object) -> bool:
    """Whether a row says something else of its record than the first one."""
    if isinstance(later, dict) and isinstance(first, dict):
        return any(not same(value, first.get(key)) for key, value in later.items())
    return not same(later, first)

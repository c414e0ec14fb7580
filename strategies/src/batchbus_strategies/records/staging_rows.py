"""The staging database of records that span several rows: each row is kept under its record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from batchbus_strategies.records.comparing import same
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.rows import RowValues
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRow, decoded, encoded
from batchbus_strategies.records.staging import (
    PARAMETERS,
    Held,
    ReadRow,
    Staging,
    in_batches,
    json_key,
    placeholders,
)

__all__ = ["RowStaging", "differs"]

_SCHEMA: Final = """
    CREATE TABLE name (name TEXT PRIMARY KEY, number INTEGER NOT NULL, line INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE row (
        number INTEGER, line INTEGER, element_id TEXT, id TEXT, deletes INTEGER, content BLOB, PRIMARY KEY (number, line)
    ) WITHOUT ROWID;
"""
MOST_ROWS: Final = 10_000
"""Of one record, which is planned in memory. A document has no room for many more elements than that."""


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
        names: list[tuple[str, int, int]] = []
        kept: list[tuple[object, ...]] = []
        errors: list[tuple[int, CellError]] = []
        lines: list[tuple[int, int]] = []
        held: list[Held] = []
        for (row, found), its_names in zip(rows, names_of, strict=True):
            if row is None:
                self._nameless(found, new, lines, errors)
                continue
            number = next((known[name] for name in its_names if name in known), None)
            if number is None or not self._first_row_only:
                found = [*row.errors, *found]
            if number is None:
                self.records += 1
                number = self.records
                firsts[number] = row
                for name in its_names:
                    known[name] = number
                    names.append((name, number, row.line))
                key, raw = json_key(row.key), json_key(row.raw_key)
                content = encoded({"values": row.values})
                new.append((number, None, row.line, row.id, key, raw, row.delete, content))
                held += self._held(number, row)
                own: dict[str, Any] = {}
            else:
                own = {} if self._first_row_only else _what_differs(row, firsts.get(number))
            held += self._held_by_element(number, row)
            content = encoded({"element": row.element, "values": own})
            kept.append((number, row.line, row.element_id, row.id, row.delete, content))
            lines.append((number, row.line))
            errors += [(number, error) for error in found]
        self._insert(new, lines, held, errors)
        self._database.executemany("INSERT OR IGNORE INTO name VALUES (?, ?, ?)", names)
        self._database.executemany("INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?, ?)", kept)

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
        """Also says of a record with too many rows that it has, and forgets them."""
        super().finish_reading()
        self._database.execute(
            f"""INSERT INTO error SELECT number, min(line), NULL, 'too_many_rows',
                    'one {self._schema.name} has ' || count(*) || ' rows; it may have {MOST_ROWS:,}', NULL,
                    NULL
                FROM row GROUP BY number HAVING count(*) > {MOST_ROWS}"""
        )
        self._database.execute(
            "DELETE FROM row WHERE number IN (SELECT number FROM error WHERE code = 'too_many_rows')"
        )

    def _rows_of(self, first: int, last: int) -> dict[int, list[StagedRow]]:
        rows: dict[int, list[StagedRow]] = {}
        for number, line, element_id, id_, deletes, content in self._database.execute(
            "SELECT * FROM row WHERE number BETWEEN ? AND ? ORDER BY number, line", (first, last)
        ):
            found = decoded(content)
            row = StagedRow(line, element_id, found["element"], id_, bool(deletes), found["values"])
            rows.setdefault(number, []).append(row)
        return rows


def _what_differs(row: RowValues, first: RowValues | None) -> dict[str, Any]:
    """What a later row says of the record, without empty cells, and without what is known to be that of the first row."""
    said = {path: value for path, each in row.values.items() if not same(value := _said(each), None)}
    if first is None:
        return said
    return {path: value for path, value in said.items() if differs(value, first.values.get(path))}


def _said(value: Any) -> Any:
    """Of what stands in several columns, those that are not empty."""
    return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


def differs(later: Any, first: Any) -> bool:
    """Whether a row says something else of its record than the first one."""
    if isinstance(later, dict) and isinstance(first, dict):
        return any(not same(value, first.get(key)) for key, value in later.items())
    return not same(later, first)

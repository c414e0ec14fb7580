"""The staging database: the rows of a file on local disk, grouped by record and joined with what the catalogue has.

Rows of one record, or two records with the same unique value, may be anywhere in a file that is larger than memory.
SQLite does the sorting, grouping and joining; the database is a temporary file, and nothing in it has to survive.

Its methods are synchronous and take a batch each; call them in a thread.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import bson
from bson.codec_options import CodecOptions
from pydantic_core import from_json, to_json

from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.fields import trimmed, value_at
from batchbus_strategies.records.rows import RowValues
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRecord, StagedRow, Taken, packed, unpacked
from batchbus_strategies.strategy import Document, Fields

__all__ = [
    "PARAMETERS",
    "Held",
    "ReadRow",
    "Staging",
    "in_batches",
    "json_key",
    "placeholders",
]

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -4096;
    CREATE TABLE record (
        number INTEGER PRIMARY KEY,   -- in the order of their first rows
        name TEXT UNIQUE,             -- the id or the key that the rows name it by, as JSON; null if they name none
        line INTEGER NOT NULL,
        id TEXT,
        key TEXT,
        raw TEXT,                     -- the key with the blanks around it, if there are any
        deletes INTEGER NOT NULL,
        content BLOB NOT NULL,
        existing TEXT                 -- the id of the document that it is about
    );
    CREATE TABLE error (number INTEGER, line INTEGER, field TEXT, code TEXT, message TEXT, value TEXT, path TEXT);
    CREATE TABLE line (               -- those of records besides their first ones
        number INTEGER, line INTEGER, PRIMARY KEY (number, line)
    ) WITHOUT ROWID;
    CREATE TABLE held (
        field TEXT, value TEXT, number INTEGER, line INTEGER,
        element TEXT,                 -- the id of the element; empty for the record itself
        own INTEGER NOT NULL          -- whether the document has the value in that place already
    );
    CREATE TABLE taken (
        field TEXT, value TEXT, owner TEXT, element TEXT,
        PRIMARY KEY (field, value, owner, element)
    ) WITHOUT ROWID;
    CREATE TABLE made (               -- of what is created since records refer to it
        kind TEXT, value TEXT, PRIMARY KEY (kind, value)
    ) WITHOUT ROWID;
    CREATE TABLE existing (id TEXT PRIMARY KEY, key TEXT, raw TEXT, document BLOB NOT NULL) WITHOUT ROWID;
"""
_INDEXES: Final = """
    CREATE INDEX error_number ON error (number);
    CREATE INDEX held_value ON held (field, value, number);
"""
_INDEXES_OF_NAMES: Final = """
    CREATE INDEX record_id ON record (id) WHERE id IS NOT NULL;
    CREATE INDEX record_key ON record (key) WHERE key IS NOT NULL;
    CREATE INDEX held_number ON held (number);
    CREATE INDEX existing_key ON existing (key) WHERE key IS NOT NULL;
"""
"""They serve the comparison with the catalogue, and are not made while it is empty."""
PARAMETERS: Final = 500
"""Of one statement."""
_KEY: Final = "key"
_AWARE: Final[CodecOptions[Document]] = CodecOptions(tz_aware=True)
Held = tuple[str, str, int, int, str | None]
"""A unique value that a record is to have: its field, the value, the record's number, the line, and the id of the element;
empty for the record itself, and None for an element that the row does not name by its id."""
_NOTHING: Final = packed({})
ReadRow = tuple[RowValues | None, list[CellError]]
"""A row with its errors; None for one that names no record."""


class Staging:
    """One file's staging database."""

    def __init__(self, database: sqlite3.Connection, schema: Schema) -> None:
        self._database = database
        self._unique = [each.name for each in schema.unique if not each.of_elements]
        self._schema = schema
        self._compared = False
        self._run(_SCHEMA)
        self.records = 0

    @classmethod
    @contextmanager
    def open(cls, schema: Schema) -> Iterator[Self]:
        """In a temporary folder, which is removed at the end."""
        with TemporaryDirectory(prefix="batchbus-import-") as folder:
            # Calls come from several threads, one after the other.
            database = sqlite3.connect(Path(folder) / "staging.sqlite", check_same_thread=False, isolation_level=None)
            try:
                yield cls(database, schema)
            finally:
                database.close()

    # -- while the file is read ------------------------------------------------------------------------------------

    def add(self, rows: Sequence[ReadRow]) -> None:
        names = [None if row is None else _name(row) for row, _ in rows]
        known = self._known([name for name in names if name is not None])
        new: list[tuple[object, ...]] = []
        errors: list[tuple[int, CellError]] = []
        lines: list[tuple[int, int]] = []
        held: list[Held] = []
        for (row, found), name in zip(rows, names, strict=True):
            if row is None or name is None:
                self._nameless(found, new, errors)
                continue
            found = [*row.errors, *found]
            place = known.get(name)
            if place is None:
                new.append(self._new(row, name))
                place = known[name] = (self.records, row.line)
                held += self._held(self.records, row)
            else:
                lines.append((place[0], row.line))
                message = f"line {place[1]} has the same {self._schema.name} already"
                value = " ".join(row.key or (row.id or "",))
                found.append(CellError(row.line, None, "duplicate_record", message, value))
            errors += [(place[0], error) for error in found]
        self._insert(new, lines, held, errors)

    def _new(self, row: RowValues, name: str | None) -> tuple[object, ...]:
        """A record that has not been seen before."""
        self.records += 1
        raw = None if row.raw_key == row.key else json_key(row.raw_key)
        return (self.records, name, row.line, row.id, json_key(row.key), raw, row.delete, packed(row.values))

    def _nameless(
        self,
        found: Sequence[CellError],
        new: list[tuple[object, ...]],
        errors: list[tuple[int, CellError]],
    ) -> None:
        """A row that names no record is one of its own, if anything is wrong with it."""
        if found:
            self.records += 1
            new.append((self.records, None, found[0].line, None, None, None, False, _NOTHING))
            errors += [(self.records, error) for error in found]

    def _insert(
        self,
        new: list[tuple[object, ...]],
        lines: list[tuple[int, int]],
        held: Sequence[Held],
        errors: list[tuple[int, CellError]],
    ) -> None:
        execute = self._database.executemany
        execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", new)
        execute("INSERT OR IGNORE INTO line VALUES (?, ?)", lines)
        execute("INSERT INTO held VALUES (?, ?, ?, ?, ?, FALSE)", held)
        self._add_errors(errors)

    def _held(self, number: int, row: RowValues) -> Iterator[Held]:
        """The unique values that the record will have."""
        for path in self._unique:
            if (value := row.values.get(path)) is not None:
                yield path, self._schema.by_path[path].as_key(value), number, row.line, ""
        if row.key is not None and (row.id is not None or not self._schema.record.found_by_key):
            yield _KEY, json_key(row.key) or "", number, row.line, ""

    def _known(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Number and first line of those that have been seen."""
        found: dict[str, tuple[int, int]] = {}
        for some in in_batches(names, PARAMETERS):
            for name, number, line in self._database.execute(
                f"SELECT name, number, line FROM record WHERE name IN ({placeholders(some)})", some
            ):
                found[name] = (number, line)
        return found

    def _add_errors(self, errors: Iterable[tuple[int, CellError]]) -> None:
        self._database.executemany(
            "INSERT INTO error VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (number, each.line, each.column, each.code, each.message, each.value, each.path)
                for number, each in errors
            ],
        )

    # -- once the file is read -------------------------------------------------------------------------------------

    def finish_reading(self) -> None:
        """Called once, when all rows have been added."""
        self._run(_INDEXES)

    def begin_comparing(self) -> None:
        """Called once, before anything of the catalogue is looked up or added."""
        self._compared = True
        self._run(_INDEXES_OF_NAMES)

    def find_duplicates(self) -> None:
        """Values of unique fields that another record of the file has as well are errors from now on: in the later one,
        unless it has its value in the catalogue already. Called once it is known what the catalogue has."""
        if self._compared:
            self._database.execute(
                """UPDATE held SET own = TRUE WHERE EXISTS (
                       SELECT 1 FROM taken JOIN record ON record.number = held.number
                       WHERE taken.field = held.field AND taken.value = held.value
                           AND taken.owner = record.existing AND taken.element = held.element)"""
            )
        columns = [(unique.name, unique.field.column, unique.of_elements) for unique in self._schema.unique]
        for name, column, of_elements in [*columns, (_KEY, self._schema.identity, False)]:
            # Two rows of one record are two elements, while the record itself has its first row's value alone.
            several = "count(*) > 1" if of_elements else "count(DISTINCT number) > 1"
            shown = "(SELECT group_concat(value, ' ') FROM json_each(held.value))" if name == _KEY else "held.value"
            self._database.execute(
                f"""INSERT INTO error
                    SELECT held.number, held.line, ?2, 'duplicate_value', 'line ' || first || ' has it already', {shown}, NULL
                    FROM (SELECT value, coalesce(min(CASE WHEN own THEN line END), min(line)) AS first
                          FROM (SELECT value FROM held WHERE field = ?1 GROUP BY value HAVING {several})
                          JOIN held USING (value) WHERE field = ?1 GROUP BY value) AS double
                    JOIN held ON held.field = ?1 AND held.value = double.value AND held.line <> first AND NOT own""",
                (name, column),
            )

    def named(self, what: str, size: int) -> Iterator[list[str]]:
        """What the file names records by, in batches: their `id`; or their `key` or `raw` key, as JSON."""
        values = self._database.execute(f"SELECT DISTINCT {what} FROM record WHERE {what} IS NOT NULL")
        while batch := values.fetchmany(size):
            yield [value for (value,) in batch]

    def held(self, path: str, size: int) -> Iterator[list[str]]:
        """The values of a unique field in the file, in batches; for `key`, keys as JSON."""
        values = self._database.execute("SELECT DISTINCT value FROM held WHERE field = ?", (path,))
        while batch := values.fetchmany(size):
            yield [value for (value,) in batch]

    def add_existing(self, found: Sequence[bytes]) -> None:
        """Documents of the catalogue, as BSON: kept if the file names them, compared with the unique values of the others."""
        wanted: list[tuple[object, ...]] = []
        taken: list[tuple[str, str, str, str]] = []
        for as_bson in found:
            document = bson.decode(as_bson, _AWARE)
            id_, raw = str(document["_id"]), self._raw_key(document)
            plain = None if raw is None else tuple(map(trimmed, raw))
            key = json_key(plain)
            wanted.append((id_, key, None if raw == plain else json_key(raw), as_bson, id_, key))
            taken += self._taken(id_, document)
            if key is not None:
                taken.append((_KEY, key, id_, ""))
        self._database.executemany(
            """INSERT OR IGNORE INTO existing SELECT ?, ?, ?, ?
               WHERE EXISTS (SELECT 1 FROM record WHERE id = ?) OR EXISTS (SELECT 1 FROM record WHERE key = ?)""",
            wanted,
        )
        self._database.executemany(
            """INSERT OR IGNORE INTO taken SELECT ?1, ?2, ?3, ?4
               WHERE EXISTS (SELECT 1 FROM held WHERE field = ?1 AND value = ?2)""",
            taken,
        )

    def _taken(self, id_: str, document: Fields) -> Iterator[tuple[str, str, str, str]]:
        """Without the blanks around them, as files have them: the same with blanks would be a twin."""
        for unique, value, element in self._schema.unique_values(document):
            yield unique.name, trimmed(unique.field.as_key(value)), id_, element

    def _raw_key(self, document: Fields) -> tuple[str, ...] | None:
        values = [value_at(document, each.path) for each in self._schema.keys]
        if not values or any(value is None for value in values):
            return None
        return tuple(each.as_key(value) for each, value in zip(self._schema.keys, values, strict=True))

    def match(self) -> None:
        """Say of each record which document it is about; of several whose keys differ in blanks alone, the one that has
        the same blanks."""
        self._run("UPDATE record SET existing = id WHERE id IS NOT NULL")
        if self._schema.record.found_by_key:
            self._match_keys()
        if self._schema.record.id_column is not None:
            self._database.execute(
                f"""INSERT INTO error SELECT number, line, NULL, 'duplicate_record',
                        'line ' || first || ' has the same {self._schema.name} already', NULL,
                        NULL
                    FROM (SELECT existing, min(number) AS earliest, min(line) AS first FROM record
                          WHERE existing IS NOT NULL GROUP BY existing HAVING count(*) > 1)
                    JOIN record USING (existing) WHERE number > earliest"""
            )

    def _match_keys(self) -> None:
        self._run("""
            UPDATE record SET existing = (SELECT min(existing.id) FROM existing
                WHERE existing.key = record.key AND existing.raw IS record.raw) WHERE id IS NULL AND key IS NOT NULL;
            UPDATE record SET existing = (SELECT min(existing.id) FROM existing WHERE existing.key = record.key)
                WHERE id IS NULL AND key IS NOT NULL AND existing IS NULL
        """)

    # -- record by record ------------------------------------------------------------------------------------------

    def batches(self, size: int) -> Iterator[list[StagedRecord]]:
        """Every record, in the order of the file."""
        last = 0
        while records := self._database.execute(
            """SELECT number, line, record.id, record.key, deletes, content, document
               FROM record LEFT JOIN existing ON existing.id = record.existing
               WHERE number > ? ORDER BY number LIMIT ?""",
            (last, size),
        ).fetchall():
            first, last = records[0][0], records[-1][0]
            lines, errors, taken = self._of(first, last)
            rows_of = self._rows_of(first, last)
            yield [
                StagedRecord(
                    number=number,
                    line=line,
                    lines=sorted({line, *lines[number], *(row.line for row in rows_of[number])}),
                    id=id_,
                    key=None if key is None else tuple(from_json(key)),
                    deletes=bool(deletes),
                    values=unpacked(content),
                    errors=errors[number],
                    existing=None if document is None else bson.decode(document, _AWARE),
                    taken=taken[number],
                    rows=rows_of[number],
                )
                for number, line, id_, key, deletes, content, document in records
            ]

    def _of(
        self, first: int, last: int
    ) -> tuple[dict[int, list[int]], dict[int, list[CellError]], dict[int, list[Taken]]]:
        """Lines besides the first, errors and taken values of the records from one number to another."""
        lines: dict[int, list[int]] = defaultdict(list)
        for number, line in self._database.execute(
            "SELECT number, line FROM line WHERE number BETWEEN ? AND ?", (first, last)
        ):
            lines[number].append(line)
        errors: dict[int, list[CellError]] = defaultdict(list)
        for number, *error in self._database.execute(
            "SELECT * FROM error WHERE number BETWEEN ? AND ? ORDER BY number, line", (first, last)
        ):
            errors[number].append(CellError(*error))
        taken: dict[int, list[Taken]] = defaultdict(list)
        for number, name, line, value, owner in self._taken_by_others(first, last) if self._compared else ():
            taken[number].append(Taken(name, line, value, owner))
        return lines, errors, taken

    def _taken_by_others(self, first: int, last: int) -> Iterator[tuple[int, str, int, str, str]]:
        yield from self._database.execute(
            """SELECT held.number, held.field, held.line, held.value, min(taken.owner)
               FROM held JOIN taken USING (field, value) JOIN record USING (number)
               WHERE held.number BETWEEN ? AND ? AND taken.owner IS NOT record.existing AND NOT own
               GROUP BY held.number, held.field, held.line ORDER BY held.line""",
            (first, last),
        )

    def _rows_of(self, first: int, last: int) -> Mapping[int, list[StagedRow]]:
        """The rows of the records from one number to another, if records span several; an empty list for any other."""
        return defaultdict(list)

    def is_new(self, kind: str, value: str) -> bool:
        """Whether it is asked of this value for the first time."""
        return self._database.execute("INSERT OR IGNORE INTO made VALUES (?, ?)", (kind, value)).rowcount == 1

    def _run(self, script: str) -> None:
        """Several statements, and then on in one transaction: a statement in one of its own would write at once."""
        self._database.executescript(script + ";BEGIN")


def _name(row: RowValues) -> str:
    return f"id {row.id}" if row.id is not None else f"key {json_key(row.key)}"


def json_key(key: Sequence[str] | None) -> str | None:
    return None if key is None else to_json(key).decode()


def in_batches(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(values), size):
        yield values[first : first + size]


def placeholders(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))

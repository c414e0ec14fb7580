"""Rows of plans and outcomes: which of them are asked for, and what they are as CSV.

Rows of any form are told. Of those that imports of records write, as `batchbus_strategies.records.plan` has them, it is
known what is in them: `op`, `line`, `key`, and what changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic_core import from_json, to_json

from batchbus_service.storage.line_index import LineFilter
from batchbus_strategies import Json
from batchbus_strategies.tables.formulas import guarded

__all__ = ["OUTCOME_COLUMNS", "PLAN_COLUMNS", "outcome_cells", "plan_cells", "row_filter"]

Row = Mapping[str, Json]

PLAN_COLUMNS: Final = ("line", "key", "op", "field", "old", "new", "message")
OUTCOME_COLUMNS: Final = ("line", "key", "what", "id", "revision", "reason")
_HEAD: Final = frozenset({"line", "lines", "key", "op"})


def row_filter(kind_field: str, *, kind: str | None, text: str | None, key: str | None = None) -> LineFilter | None:
    """The rows of one kind, and with a text in their key, and with that key; None if all are asked for.

    Upper and lower case are the same for `text`, which is looked for in the whole row if that has no key. `key` is the
    whole of it, the parts of one that has several with a blank between them.
    """
    if kind is None and text is None and key is None:
        return None
    quoted = None if kind is None else f'"{kind}"'.encode()
    folded = None if text is None else text.casefold()

    def lets_through(line: bytes) -> bool:
        if quoted is not None and quoted not in line:
            return False  # without a look at what is in the row
        try:
            row: Json = from_json(line)
        except ValueError:
            return False
        if not isinstance(row, dict) or (kind is not None and row.get(kind_field) != kind):
            return False
        if key is not None and key_text(row) != key:
            return False
        return folded is None or folded in (key_text(row) if "key" in row else line.decode()).casefold()

    return LineFilter(repr((kind_field, kind, folded, key)), lets_through)


def key_text(row: Row) -> str:
    """A row's key, in one text."""
    key = row.get("key")
    return " ".join(map(_text, key)) if isinstance(key, list) else _text(key)


def plan_cells(line: bytes) -> list[list[str]]:
    """A row of a plan as CSV: a line for each field that changes, or for each error. Raises `ValueError`."""
    row: Json = from_json(line)
    if not isinstance(row, dict):
        return [["", "", "", "", "", _cell(row), ""]]
    head = [_cell(row.get("line")), guarded(key_text(row)), _cell(row.get("op"))]
    return [[*head, *change] for change in _changes(row)] or [[*head, "", "", "", ""]]


def outcome_cells(line: bytes) -> list[list[str]]:
    """A row of an outcome as CSV, in one line. Raises `ValueError`."""
    row: Json = from_json(line)
    assert isinstance(row, dict)
    cells = {name: _cell(row.get(name)) for name in OUTCOME_COLUMNS} | {"key": guarded(key_text(row))}
    return [[cells[name] for name in OUTCOME_COLUMNS]]


def _changes(row: Row) -> Iterator[list[str]]:
    """The cells `field`, `old`, `new` and `message` of each change."""
    match row:
        case {"op": "update", "changes": dict() as changes}:
            for path, change in changes.items():
                values = change if isinstance(change, dict) else {"new": change}
                yield [guarded(path), _cell(values.get("old")), _cell(values.get("new")), ""]
            yield from _errors(row.get("left_out"))
        case {"op": "error", "errors": list() as errors}:
            yield from _errors(errors)
        case {"op": "delete", "document": dict() as document}:
            for name, value in document.items():
                yield [guarded(name), _cell(value), "", ""]
        case {"op": "create" | "reference", "document": dict() as document}:
            for name, value in document.items():
                yield [guarded(name), "", _cell(value), ""]
        case {"op": "unchanged", "key": _}:
            return
        case _:
            for name, value in row.items():
                if name not in _HEAD:
                    yield [guarded(name), "", _cell(value), ""]


def _errors(errors: Json) -> Iterator[list[str]]:
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            column, value, message = (_cell(error.get(name)) for name in ("column", "value", "message"))
            yield [column, "", value, f"line {error['line']}: {message}" if "line" in error else message]


def _cell(value: Json) -> str:
    """A value in a cell: nothing for null, and no text that a spreadsheet would run."""
    return guarded(value) if isinstance(value, str) else _text(value)


def _text(value: Json) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case {"$date": str() as text} | {"$oid": str() as text} | {"$numberDecimal": str() as text}:
            return text  # what JSON has no form for
        case _:
            return to_json(value).decode()

"""What the staging database hands out: a record of the file with its rows, and the form in which it keeps values."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import NamedTuple

from batchbus_strategies.records.errors import CellError
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["StagedRecord", "StagedRow", "Taken", "packed", "unpacked"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A value of a unique field that another document of the catalogue has."""

    name: str
    """Of the field, as in `Unique`; `key` for the key."""
    line: int
    value: str
    owner: str
    """The id of that document."""


class StagedRow(NamedTuple):
    """One row of a record that spans several."""

    line: int
    element_id: str | None
    element: Document | None
    """As `RowValues` has it."""
    id: str | None
    """The id that this row names the record by."""
    delete: bool
    values: Document
    """What it says of the record itself; of a row behind the first one, only what is not empty."""


@dataclass(slots=True)
class StagedRecord:
    """A record of the file, with what the catalogue has of it."""

    number: int
    line: int
    lines: list[int]
    """Of all its rows."""
    id: str | None
    """The id that the file names it by."""
    key: tuple[str, ...] | None
    deletes: bool
    values: Document
    errors: list[CellError]
    existing: Document | None
    shown: Fields | None = None
    """What there is, as `Shown` columns show it; None if that is `existing`."""
    taken: list[Taken] = field(default_factory=list)
    rows: list[StagedRow] = field(default_factory=list)
    """In the order of the file; empty for records of one row."""
    named: list[Fields] = field(default_factory=list)
    """What the references of elements name, by path in the element."""


def packed(value: object) -> bytes:
    """What this process alone will read again: values of any kind that fields have, and names that are data as keys."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(content: bytes) -> FieldValue:
    return pickle.loads(content)

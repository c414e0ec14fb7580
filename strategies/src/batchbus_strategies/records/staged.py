"""What the staging database hands out: a record of the file with its rows, and the form in which it keeps their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument

from batchbus_strategies.records.errors import CellError

__all__ = ["AWARE", "StagedRecord", "StagedRow", "Taken", "decoded", "encoded"]

AWARE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)
_PACKED: Final = "packed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A value of a unique field that another document of the catalogue has."""

    name: str
    """Of the field, as in `Unique`; `key` for the key."""
    line: int
    value: str
    owner: str
    """The id of that document."""


@dataclass(frozen=True, slots=True)
class StagedRow:
    """One row of a record that spans several."""

    line: int
    element_id: str | None
    element: dict[str, Any] | None
    """As `RowValues` has it."""
    id: str | None
    """The id that this row names the record by."""
    delete: bool
    values: dict[str, Any]
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
    values: dict[str, Any]
    errors: list[CellError]
    existing: dict[str, Any] | None
    shown: Mapping[str, Any] | None = None
    """What there is, as `Shown` columns show it; None if that is `existing`."""
    taken: list[Taken] = field(default_factory=list)
    rows: list[StagedRow] = field(default_factory=list)
    """In the order of the file; empty for records of one row."""
    named: list[Mapping[str, Any]] = field(default_factory=list)
    """What the references of elements name, by path in the element."""


def encoded(content: dict[str, Any]) -> bytes:
    """As BSON, whose keys have no NUL in them, while names that are data may."""
    try:
        return bson.encode(content)
    except InvalidDocument:
        return bson.encode({_PACKED: _packed(content)})


def decoded(content: bytes) -> dict[str, Any]:
    found = bson.decode(content, AWARE)
    if _PACKED not in found:
        return found
    unpacked: dict[str, Any] = _unpacked(found[_PACKED])
    return unpacked


def _packed(value: Any) -> Any:
    """With dicts as lists of keys and values."""
    if isinstance(value, dict):
        return {_PACKED: [[key, _packed(each)] for key, each in value.items()]}
    return [_packed(each) for each in value] if isinstance(value, list | tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unpacked(each) for key, each in value[_PACKED]}
    return [_unpacked(each) for each in value] if isinstance(value, list) else value

"""From the header of a file to where each field of a record is in a row; a header that leaves a doubt is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchbus_strategies.records.errors import CellError, HeaderRefused
from batchbus_strategies.records.schema import Field, Schema, ordered_parts, plain
from batchbus_strategies.tables import shortened

__all__ = ["DELETE_COLUMN", "Layout", "read_header"]

DELETE_COLUMN: Final = "_delete"
"""The column that says of a record that it is to be deleted, where the batch type allows it."""
_HINTED: Final = 5
"""The errors that the nearest name is looked for in: with a thousand, that takes seconds."""


@dataclass(slots=True)
class Layout:
    """Where in a row everything is, as indexes of its cells."""

    header: tuple[str, ...]
    fixed: list[tuple[int, Field]] = field(default_factory=list)
    """In the order of the declaration."""
    numbered: list[tuple[Field, list[list[tuple[int, Field]]]]] = field(default_factory=list)
    """Of each numbered field, for each number, where its column or the columns of its parts are."""
    named: list[tuple[Field, list[tuple[str, int]]]] = field(default_factory=list)
    """Of each named field, its keys in the file, and where they are."""
    id: int | None = None
    delete: int | None = None

    @property
    def width(self) -> int:
        return len(self.header)

    @property
    def paths(self) -> frozenset[str]:
        """Of the fields that the file says something about."""
        return frozenset(
            [each.path for _, each in self.fixed]
            + [each.path for each, _ in self.numbered]
            + [each.path for each, _ in self.named]
        )


def read_header(
    header: Sequence[str],
    schema: Schema,
    *,
    line: int = 1,
    mapping: Mapping[str, str | None] | None = None,
    deletes: bool = False,
) -> Layout:
    """Raises `HeaderRefused` with all that is wrong with it.

    `mapping` says of names in the file which column they are; None leaves a column out. `deletes`: whether the file may
    have a column `_delete`.
    """
    names = list(header)
    while names and not names[-1]:  # what a trailing delimiter leaves
        names.pop()
    reading = _Reading(schema, line, mapping or {}, deletes)
    for index, name in enumerate(names):
        reading.column(index, name)
    reading.finish(names)
    if reading.errors:
        raise HeaderRefused(reading.errors)
    return reading.layout(names)


class _Reading:
    """One header, column by column."""

    def __init__(self, schema: Schema, line: int, mapping: Mapping[str, str | None], deletes: bool) -> None:
        self._schema = schema
        self._line = line
        self._mapping = mapping
        self._deletes = deletes
        self._fixed = _fixed_names(schema)
        self._numbered = [
            (each, part, _pattern(part.column))
            for each in schema.fields
            if each.shape == "numbered"
            for part in each.parts or (each,)
        ]
        self._named = [
            (each, each.column.partition("<name>")[0], each.column.partition("<name>")[2])
            for each in schema.fields
            if each.shape == "named"
        ]
        self._found: dict[str, tuple[int, str]] = {}
        """By what a column stands for: its index and its name."""
        self._numbers: dict[str, dict[int, list[tuple[int, Field]]]] = {}
        self._keys: dict[str, list[tuple[str, int]]] = {}
        self.errors: list[CellError] = []

    def column(self, index: int, name: str) -> None:
        meant: str | None = name
        if name in self._mapping:
            meant = self._mapping[name]
            if meant is None:
                return
        if not meant:
            self._error(None, "unnamed_column", f"column {index + 1} has no name")
        elif (what := self._fixed.get(plain(meant))) is not None and self._is_meant(what):
            self._once(what, index, name)
        elif not (self._is_numbered(index, name, meant) or self._is_named(index, name, meant)):
            hint = self._nearest(meant) if len(self.errors) < _HINTED else ""
            self._error(name, "unknown_column", f'unknown column "{shortened(name)}"{hint}')

    def _is_meant(self, what: str) -> bool:
        return what != DELETE_COLUMN or self._deletes

    def _once(self, what: str, index: int, name: str) -> bool:
        if (other := self._found.setdefault(what, (index, name))) == (index, name):
            return True
        both = (
            f'two columns "{shortened(name)}"'
            if other[1] == name
            else f'"{shortened(other[1])}" and "{shortened(name)}"'
        )
        self._error(name, "duplicate_column", f"there are {both}, which are the same column")
        return False

    def _is_numbered(self, index: int, name: str, meant: str) -> bool:
        for each, part, pattern in self._numbered:
            if match := pattern.fullmatch(plain(meant)):
                number = int(match[1])
                if self._once(f"{each.path} {part.path} {number}", index, name):
                    self._numbers.setdefault(each.path, {}).setdefault(number, []).append((index, part))
                return True
        return False

    def _is_named(self, index: int, name: str, meant: str) -> bool:
        for each, prefix, suffix in self._named:
            if meant.startswith(prefix) and meant.endswith(suffix) and len(meant) > len(prefix) + len(suffix):
                key = meant[len(prefix) : len(meant) - len(suffix)]
                if self._once(f"{each.path} {key}", index, name):
                    self._keys.setdefault(each.path, []).append((key, index))
                return True
        return False

    def finish(self, names: Sequence[str]) -> None:
        id_column = self._schema.record.id_column
        if id_column is not None and "_id" in self._found:
            return
        needed = {each.path: each.column for each in self._schema.keys} or {"_id": self._schema.identity}
        for path, column in needed.items():
            if path not in self._found:
                message = f'there is no column "{column}"'
                if not self._found and not self._numbers:
                    shown = ", ".join(f'"{shortened(name, 30)}"' for name in names[:3])
                    message += f" nor any other of {self._schema.name} files (it begins with {shown})"
                self._error(None, "missing_column", message)

    def layout(self, names: Sequence[str]) -> Layout:
        layout = Layout(header=tuple(names))
        layout.id = self._found.get("_id", (None, ""))[0]
        layout.delete = self._found.get(DELETE_COLUMN, (None, ""))[0]
        for each in self._schema.fields:
            if each.shape == "one" and each.path in self._found:
                layout.fixed.append((self._found[each.path][0], each))
            elif each.shape == "numbered" and each.path in self._numbers:
                layout.numbered.append((each, [columns for _, columns in sorted(self._numbers[each.path].items())]))
            elif each.shape == "named" and each.path in self._keys:
                layout.named.append((each, self._keys[each.path]))
        return layout

    def _error(self, column: str | None, code: str, message: str) -> None:
        self.errors.append(CellError(self._line, column, code, message, column))

    def _nearest(self, name: str) -> str:
        """With the nearest name, if one is near."""
        number = next(iter(re.findall(r"[1-9]\d*", name)), "1")
        known = {plain(each): each for each in _all_names(self._schema, number)}
        if (same := known.get(plain(name))) is not None:
            return f' (did you mean "{same}"?)'
        near = difflib.get_close_matches(plain(name[:100]), known, n=1, cutoff=0.7)
        return f' (did you mean "{known[near[0]]}"?)' if near else ""


def known_names(schema: Schema) -> frozenset[str]:
    """Names that tell a file of these records from other files."""
    return frozenset(name for number in "123456789" for name in _all_names(schema, number))


def _all_names(schema: Schema, number: str) -> Iterator[str]:
    if schema.record.id_column:
        yield schema.record.id_column
    for each in ordered_parts(schema.fields):
        for name in (each.column, *each.also):
            yield name.replace("<n>", number)


def _fixed_names(schema: Schema) -> dict[str, str]:
    names = {plain(DELETE_COLUMN): DELETE_COLUMN}
    if schema.record.id_column:
        names[plain(schema.record.id_column)] = "_id"
    for each in schema.fields:
        if each.shape == "one":
            names |= {plain(name): each.path for name in (each.column, *each.also)}
    return names


def _pattern(column: str) -> re.Pattern[str]:
    before, after = plain(column).split("<n>")
    return re.compile(f"{re.escape(before)}([1-9][0-9]{{0,3}}){re.escape(after)}")

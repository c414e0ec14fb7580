"""From the header of a file to where each field of a record is in a row; a header that leaves a doubt is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batchbus_strategies.records.errors import CellError, HeaderRefused
from batchbus_strategies.records.families import ColumnError, FamilyColumn
from batchbus_strategies.records.fields import Field, ordered_parts, plain
from batchbus_strategies.records.layout import Cells, Layout
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["DELETE_COLUMN", "columns_of", "known_names", "load_families", "nearest_of", "read_header"]

DELETE_COLUMN: Final = "_delete"
"""The column that says of a record that it is to be deleted, where the batch type allows it."""
_ID: Final = "_id"
_HINTED: Final = 5
"""The errors that the nearest name is looked for in: with a thousand, that takes seconds."""


async def load_families(schema: Schema, catalog: Catalog) -> Document:
    """What the columns of each family are looked up in, by the family's name; once for each file."""
    return {name: await each.family.columns.load(catalog) for name, each in schema.families if each.family}


def columns_of(layout: Layout, schema: Schema) -> dict[str, dict[str, FamilyColumn]]:
    """The columns of families: by the family's name, and by identity."""
    found = {each.path: {column.identity: column for _, column in columns} for each, columns in layout.families}
    if schema.rows is not None and layout.element is not None:
        for each, columns in layout.element.families:
            found[f"{schema.rows.path}.{each.path}"] = {column.identity: column for _, column in columns}
    return found


def read_header(
    header: Sequence[str],
    schema: Schema,
    *,
    line: int = 1,
    mapping: Mapping[str, str | None] | None = None,
    deletes: bool = False,
    families: Fields | None = None,
) -> Layout:
    """Raises `HeaderRefused` with all that is wrong with it.

    `mapping` says of names in the file which column they are; None leaves a column out. `deletes`: whether the file may
    have a column `_delete`. `families`: what `load_families` has given.
    """
    names = list(header)
    while names and not names[-1]:  # what a trailing delimiter leaves
        names.pop()
    reading = _Reading(schema, line, mapping or {}, deletes, families or {})
    for index, name in enumerate(names):
        reading.column(index, name)
    reading.finish(names)
    if reading.errors:
        raise HeaderRefused(reading.errors)
    return reading.layout(names)


@dataclass(slots=True)
class _Found:
    """The columns of one record's or element's fields, by the fields' paths."""

    fixed: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, dict[int, list[tuple[int, Field]]]] = field(default_factory=dict)
    keys: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    families: dict[str, list[tuple[int, FamilyColumn]]] = field(default_factory=dict)
    copied: dict[str, dict[int, list[tuple[int, str]]]] = field(default_factory=dict)
    pairs: dict[int, dict[str, int]] = field(default_factory=dict)
    """Of a combination, by number: where the name and the value are."""

    def put_into(self, cells: Cells, fields: Iterable[Field]) -> None:
        for each in fields:
            path = each.path
            if each.shape == "one" and path in self.fixed:
                cells.fixed.append((self.fixed[path], each))
            elif each.shape == "numbered" and path in self.numbers:
                cells.numbered.append((each, [columns for _, columns in sorted(self.numbers[path].items())]))
            elif each.shape == "named" and path in self.keys:
                cells.named.append((each, self.keys[path]))
            elif each.shape == "family" and path in self.families:
                cells.families.append((each, sorted(self.families[path], key=lambda column: column[1].rank)))
            elif each.shape == "copied" and path in self.copied:
                cells.copied.append((each, [columns for _, columns in sorted(self.copied[path].items())]))
            elif each.shape == "combination" and self.pairs:
                pairs = [(parts["name"], parts["value"]) for _, parts in sorted(self.pairs.items())]
                cells.combination = (each, pairs)


_RECORD: Final = ""
"""The prefix of the fields of the record itself; that of its elements' fields is their path, with a dot."""


class _Reading:
    """One header, column by column."""

    def __init__(
        self,
        schema: Schema,
        line: int,
        mapping: Mapping[str, str | None],
        deletes: bool,
        families: Fields,
    ) -> None:
        self._schema = schema
        self._line = line
        self._mapping = mapping
        self._deletes = deletes
        self._loaded = families
        self._of = {_RECORD: schema.fields}
        if schema.rows is not None:
            self._of[f"{schema.rows.path}."] = schema.rows.parts
        everything = [(prefix, each) for prefix, fields in self._of.items() for each in fields]
        self._fixed = _fixed_names(schema, everything)
        self._numbered = [
            (prefix, each, part, _pattern(part.column))
            for prefix, each in everything
            if each.shape == "numbered"
            for part in each.parts or (each,)
        ]
        self._named = [
            (prefix, each, each.column.partition("<name>")[0], each.column.partition("<name>")[2])
            for prefix, each in everything
            if each.shape == "named"
        ]
        self._copied = [
            (each, by, _pattern(column) if each.several else re.compile(re.escape(plain(column))))
            for each in schema.copied
            if each.copied
            for by, column in each.copied.by.items()
        ]
        self._ignored = [
            _pattern(column) if "<n>" in column else re.compile(re.escape(plain(column))) for column in schema.ignored
        ]
        self._families = [(prefix, each) for prefix, each in everything if each.family is not None]
        self._pairs = [
            (prefix, kind, _pattern(column))
            for prefix, each in everything
            if each.combination is not None
            for kind, column in (("name", each.combination.name_column), ("value", each.combination.value_column))
        ]
        self._seen: dict[str, tuple[int, str]] = {}
        """By what a column stands for: its index and its name."""
        self._found = {prefix: _Found() for prefix in self._of}
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
            if self._once(what, index, name):
                prefix = next((prefix for prefix in self._of if prefix and what.startswith(prefix)), _RECORD)
                self._found[prefix].fixed[what.removeprefix(prefix)] = index
        elif not any(
            kind(index, name, meant)
            for kind in (
                self._is_numbered,
                self._is_pair,
                self._is_copied,
                self._is_ignored,
                self._is_family,
                self._is_named,
            )
        ):
            hint = self._nearest(meant) if len(self.errors) < _HINTED else ""
            self._error(name, "unknown_column", f'unknown column "{shortened(name)}"{hint}')

    def _is_meant(self, what: str) -> bool:
        return what != DELETE_COLUMN or self._deletes

    def _once(self, what: str, index: int, name: str, noun: str | None = None) -> bool:
        if (other := self._seen.setdefault(what, (index, name))) == (index, name):
            return True
        if other[1] == name:
            message = f'there are two columns "{shortened(name)}"'
        elif noun is not None:
            message = f'the columns "{shortened(other[1])}" and "{shortened(name)}" are for the same {noun}'
        else:
            message = f'there are "{shortened(other[1])}" and "{shortened(name)}", which are the same column'
        self._error(name, "duplicate_column", message)
        return False

    def _is_numbered(self, index: int, name: str, meant: str) -> bool:
        for prefix, each, part, pattern in self._numbered:
            if match := pattern.fullmatch(plain(meant)):
                number = int(match[1])
                if self._once(f"{prefix}{each.path} {part.path} {number}", index, name):
                    numbers = self._found[prefix].numbers.setdefault(each.path, {})
                    numbers.setdefault(number, []).append((index, part))
                return True
        return False

    def _is_pair(self, index: int, name: str, meant: str) -> bool:
        for prefix, kind, pattern in self._pairs:
            if match := pattern.fullmatch(plain(meant)):
                number = int(match[1])
                if self._once(f"{prefix} combination {kind} {number}", index, name):
                    self._found[prefix].pairs.setdefault(number, {})[kind] = index
                return True
        return False

    def _is_copied(self, index: int, name: str, meant: str) -> bool:
        for each, by, pattern in self._copied:
            if match := pattern.fullmatch(plain(meant)):
                number = int(match[1]) if each.several else 0
                if self._once(f"{each.path} {by} {number}", index, name):
                    numbers = self._found[_RECORD].copied.setdefault(each.path, {})
                    numbers.setdefault(number, []).append((index, by))
                return True
        return False

    def _is_ignored(self, index: int, name: str, meant: str) -> bool:
        found = any(pattern.fullmatch(plain(meant)) for pattern in self._ignored)
        if found:
            self._once(f" ignored {plain(meant)}", index, name)
        return found

    def _is_family(self, index: int, name: str, meant: str) -> bool:
        for prefix, each in self._families:
            assert each.family
            if not each.family.columns.matches(meant):
                continue
            path = f"{prefix}{each.path}"
            try:
                found = each.family.columns.column(meant, self._loaded[path])
            except ColumnError as error:
                hint = nearest_of(error) if len(self.errors) < _HINTED else ""
                self._error(name, error.code, f'column "{shortened(name)}": {error}{hint}')
                return True
            if self._once(f"{path} [{found.identity}]", index, name, each.family.columns.noun):
                self._found[prefix].families.setdefault(each.path, []).append((index, found))
            return True
        return False

    def _is_named(self, index: int, name: str, meant: str) -> bool:
        for prefix, each, before, after in self._named:
            if meant.startswith(before) and meant.endswith(after) and len(meant) > len(before) + len(after):
                key = meant[len(before) : len(meant) - len(after)]
                if self._once(f"{prefix}{each.path} {key}", index, name):
                    self._found[prefix].keys.setdefault(each.path, []).append((key, index))
                return True
        return False

    def finish(self, names: Sequence[str]) -> None:
        self._incomplete_pairs()
        id_column = self._schema.record.id_column
        if id_column is not None and _ID in self._seen:
            return
        needed = {each.path: each.column for each in self._schema.keys} or {_ID: self._schema.identity}
        for path, column in needed.items():
            if path not in self._seen:
                message = f'there is no column "{column}"'
                if not self._seen:
                    shown = ", ".join(f'"{shortened(name, 30)}"' for name in names[:3])
                    message += f" nor any other of {self._schema.name} files (it begins with {shown})"
                self._error(None, "missing_column", message)

    def _incomplete_pairs(self) -> None:
        """A name says nothing without its value, nor the other way round."""
        for prefix, fields in self._of.items():
            for each in fields:
                if each.combination is None:
                    continue
                columns = {"name": each.combination.name_column, "value": each.combination.value_column}
                for number, parts in sorted(self._found[prefix].pairs.items()):
                    for kind, column in columns.items():
                        if kind not in parts:
                            missing = column.replace("<n>", str(number))
                            self._error(None, "missing_column", f'there is no column "{missing}"')

    def layout(self, names: Sequence[str]) -> Layout:
        layout = Layout(header=tuple(names))
        layout.id = self._seen.get(_ID, (None, ""))[0]
        layout.delete = self._seen.get(DELETE_COLUMN, (None, ""))[0]
        self._found[_RECORD].put_into(layout, self._schema.fields)
        if (rows := self._schema.rows) is not None:
            layout.element = Cells()
            layout.element_id = self._seen.get(rows.path, (None, ""))[0]
            self._found[f"{rows.path}."].put_into(layout.element, rows.parts)
        return layout

    def _error(self, column: str | None, code: str, message: str) -> None:
        self.errors.append(CellError(self._line, column, code, message, column))

    def _nearest(self, name: str) -> str:
        """With the nearest name, if one is near."""
        number = next(iter(re.findall(r"[1-9]\d*", name)), "1")
        return _near(plain(name[:100]), {plain(each): each for each in _all_names(self._schema, number)})


def nearest_of(error: ColumnError) -> str:
    """What was meant instead, to be added to the error's message; nothing if nothing is near."""
    if error.looked_for is None:
        return ""
    near = difflib.get_close_matches(error.looked_for[:100], list(error.among), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _near(name: str, known: Mapping[str, str]) -> str:
    """The nearest of some names, of which each stands under the form that `name` has; nothing if none is near."""
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.7)
    return f' (did you mean "{known[near[0]]}"?)' if near else ""


def known_names(schema: Schema) -> frozenset[str]:
    """Names that tell a file of these records from other files."""
    return frozenset(name for number in "123456789" for name in _all_names(schema, number))


def _all_names(schema: Schema, number: str) -> Iterator[str]:
    if schema.record.id_column:
        yield schema.record.id_column
    if schema.rows is not None:
        yield schema.rows.column
    yield from (name.replace("<n>", number) for name in schema.ignored)
    for each in ordered_parts(schema.fields):
        if each.family is None:
            for name in (each.column, *each.also):
                yield name.replace("<n>", number)


def _fixed_names(schema: Schema, everything: Iterable[tuple[str, Field]]) -> dict[str, str]:
    names = {plain(DELETE_COLUMN): DELETE_COLUMN}
    if schema.record.id_column:
        names[plain(schema.record.id_column)] = _ID
    if schema.rows is not None:
        names[plain(schema.rows.column)] = schema.rows.path
    for prefix, each in everything:
        if each.shape == "one" and (each.shown is None or each.shown.compared):
            names |= {plain(name): prefix + each.path for name in (each.column, *each.also)}
    return names


def _pattern(column: str) -> re.Pattern[str]:
    before, after = plain(column).split("<n>")
    return re.compile(f"{re.escape(before)}([1-9][0-9]{{0,3}}){re.escape(after)}")

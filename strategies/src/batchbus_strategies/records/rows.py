"""From the cells of a row to what it says about a record, with every cell that says nothing sensible.

This is the hot loop of reading: what a column means is looked up once for the file, not once for each row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batchbus_strategies.records.combinations import name_in
from batchbus_strategies.records.copying import Copies
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.fields import Field, trimmed
from batchbus_strategies.records.layout import Cells, Layout
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue
from batchbus_strategies.tables import MAX_COLUMNS, Row, is_header_again

__all__ = ["RowReader", "RowValues"]

_YES: Final = frozenset({"true", "yes", "x", "1"})
_WRONG: Final[FieldValue] = object()
_NO: Final = frozenset({"", "false", "no", "0"})
_FamilyCell = tuple[int, str, Callable[[str], Fields], str]
"""Where it is in a row; the identity of its element, how it is parsed, and the code of its errors."""


@dataclass(slots=True)
class RowValues:
    """What a row says about its record."""

    line: int
    key: tuple[str, ...] | None
    """As the file has it, without blanks around its parts; None if the row names its record by `id`, and has no key."""
    raw_key: tuple[str, ...] | None
    """With the blanks."""
    id: str | None
    delete: bool
    values: Document
    """By path. A field is there if the row has a cell for it; None for one that is to be cleared. What a family has is a
    dict by identity, of the fields that an element is to have, or None if it is to go; what a combination has is a dict of
    names and values, None for an empty cell."""
    element: Document | None = None
    """The same for the element that the row is about; None if it is about none."""
    element_id: str | None = None
    errors: list[CellError] = dataclasses.field(default_factory=list)
    """What is wrong with the cells of the record itself, and not of the element."""


class RowReader:
    """Reads the rows of one file."""

    def __init__(
        self, layout: Layout, schema: Schema, copies: Mapping[str, Copies] | None = None, *, whole_rows: bool = False
    ) -> None:
        """`whole_rows`: a line of a CSV that ends before its last cell is an error; else those cells say nothing."""
        self._layout = layout
        self._own = _CellReader(layout, layout.header, "", copies or {})
        self._element = None
        if layout.element is not None and schema.rows is not None:
            self._element = _CellReader(layout.element, layout.header, f"{schema.rows.path}.", {})
        self._rows = schema.rows.rows if schema.rows is not None else None
        self._needs_key = not schema.record.found_by_key
        self._whole_rows = whole_rows
        self._last: tuple[str, ...] | None = None
        """The key of the row before, if it says nothing of the record itself."""
        places = {field.path: index for index, field in layout.fixed}
        self._keys = [(places[field.path], field) for field in schema.keys if field.path in places]
        self._whole_key = bool(self._keys) and len(self._keys) == len(schema.keys)

    def read(self, row: Row, errors: list[CellError]) -> RowValues | None:
        """None for a row that is not about a record. Errors are added to `errors`; if there are any, the row is not to be used."""
        line, cells = row
        layout = self._layout
        if len(cells) > layout.width:
            if any(cells[layout.width :]):
                number = len(cells) if len(cells) <= MAX_COLUMNS else f"more than {MAX_COLUMNS:,}"
                message = f"the row has {number} cells, the header has {layout.width}"
                errors.append(CellError(line, None, "ragged_row", message))
                return None
            cells = cells[: layout.width]
        if self._whole_rows and cells and cells[-1] is None:
            number = next(n for n, cell in enumerate(cells) if cell is None)
            message = f"the row has {number} cells, the header has {layout.width}"
            errors.append(CellError(line, None, "ragged_row", message))
            return None
        if is_header_again((line, cells), layout.header):
            return None
        id_ = trimmed(cells[layout.id] or "") or None if layout.id is not None else None
        raw = tuple([field.canonical(cells[index] or "") for index, field in self._keys])
        key = tuple([trimmed(part) for part in raw])
        has_key = self._whole_key and all(key)
        if not has_key and (id_ is None or self._needs_key):
            self._no_key(line, key, errors)
            return None
        delete = self._delete(line, cells, errors)
        of_record: list[CellError] = []
        said_before = self._rows is not None and self._rows.first_row_only and raw == self._last
        values = {} if said_before else self._own.read(line, cells, of_record)
        self._last = raw if has_key else None
        found = RowValues(line, key if has_key else None, raw if has_key else None, id_, delete, values)
        found.errors = of_record
        if self._element is not None:
            element = self._element.read(line, cells, errors)
            index = layout.element_id
            found.element_id = trimmed(cells[index] or "") or None if index is not None else None
            if (
                found.element_id is not None
                or (id_ is None and self._rows is not None and self._rows.on_every_row)
                or any(map(_says_something, element.values()))
            ):
                found.element = element
        return found

    def _no_key(self, line: int, key: Sequence[str], errors: list[CellError]) -> None:
        for (index, field), part in zip(self._keys, key, strict=True):
            if not part:
                column = self._layout.header[index]
                message = f"every row needs a value for {column}"
                errors.append(CellError(line, column, "missing_key", message, path=field.path))
                return
        errors.append(CellError(line, None, "missing_key", "the row does not say which record it is about"))

    def _delete(self, line: int, cells: Sequence[str | None], errors: list[CellError]) -> bool:
        if self._layout.delete is None:
            return False
        cell = (cells[self._layout.delete] or "").strip()
        word = cell.lower()
        if word not in _YES and word not in _NO:
            errors.append(
                CellError(line, self._layout.header[self._layout.delete], "bad_boolean", "neither TRUE nor FALSE", cell)
            )
        return word in _YES


class _CellReader:
    """Reads the cells of one owner in a row: of the record, or of its element."""

    def __init__(self, cells: Cells, header: Sequence[str], prefix: str, copies: Mapping[str, Copies]) -> None:
        """`prefix`: what paths from the record on begin with."""
        self._header = header
        self._prefix = prefix
        self._copies = copies
        self._cells = cells
        self._fixed = [
            (index, field.path, field.parse, field.nothing, field.empty == "keeps", field.type.code)
            for index, field in cells.fixed
        ]
        self._families = [
            (field.path, [(index, column.identity, column.parse, column.code) for index, column in columns])
            for field, columns in cells.families
        ]

    def read(self, line: int, cells: Sequence[str | None], errors: list[CellError]) -> Document:
        values: Document = {}
        for index, path, parse, nothing, keeps, code in self._fixed:
            cell = cells[index]
            if not cell:
                if cell is not None and not keeps:
                    values[path] = nothing
                continue
            try:
                value = parse(cell)
            except ValueError as error:
                errors.append(self._error(line, index, f"bad_{code}", error, cell, path))
                continue
            if value is not None or not keeps:
                values[path] = value
        for field, numbers in self._cells.numbered:
            before = len(errors)
            items = self._list(line, cells, field, numbers, errors)
            if len(errors) == before:  # else it is not known what the list is to be
                values[field.path] = items
        for field, keys in self._cells.named:
            found = {}
            for key, index in keys:
                value = self._cell(line, cells, index, field, field, errors)
                if cells[index] is not None and value is not _WRONG:
                    found[key] = value
            values[field.path] = found
        for field, numbered in self._cells.copied:
            self._copied(line, cells, field, numbered, values, errors)
        for path, columns in self._families:
            values[path] = self._family(line, cells, path, columns, errors)
        if self._cells.combination is not None:
            field, pairs = self._cells.combination
            values[field.path] = self._combination(line, cells, field, pairs, errors)
        return values

    def _error(self, line: int, index: int, code: str, error: ValueError, cell: str, path: str) -> CellError:
        return CellError(line, self._header[index], code, str(error), cell, self._prefix + path)

    def _copied(
        self,
        line: int,
        cells: Sequence[str | None],
        field: Field,
        numbers: Sequence[Sequence[tuple[int, str]]],
        values: Document,
        errors: list[CellError],
    ) -> None:
        """A list becomes a dict: the copies that were `found`, and whether that is the `whole` of what the row names."""
        copies, found, whole = self._copies[field.path], Document(), True
        for columns in numbers:
            named = {by: text for index, by in columns if (text := trimmed(cells[index] or ""))}
            if not named:
                continue
            try:
                copy = copies.find(named)
            except LookupError as error:
                message, wrong = error.args
                place = next(index for index, by in columns if by == wrong)
                errors.append(
                    CellError(line, self._header[place], "unknown_reference", message, named[wrong], field.path)
                )
                continue
            whole = whole and copy is not None
            if copy is not None:
                found[str(copy["id"])] = copy
        if field.several:
            values[field.path] = {"found": list(found.values()), "whole": whole}
        elif whole:
            values[field.path] = next(iter(found.values()), None)

    def _family(
        self,
        line: int,
        cells: Sequence[str | None],
        path: str,
        columns: Sequence[_FamilyCell],
        errors: list[CellError],
    ) -> Document:
        found: Document = {}
        for index, identity, parse, code in columns:
            cell = cells[index]
            if cell is None:
                continue
            text = cell.strip()
            try:
                found[identity] = dict(parse(text)) if text else None
            except ValueError as error:
                errors.append(self._error(line, index, code, error, cell, path))
        return found

    def _combination(
        self,
        line: int,
        cells: Sequence[str | None],
        field: Field,
        pairs: Sequence[tuple[int, int]],
        errors: list[CellError],
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        of_list = field.combination is not None and field.combination.names is not None
        for name_index, value_index in pairs:
            name, value = _text(cells[name_index]), _text(cells[value_index])
            if of_list:
                name = name_in(found, name)
            if name in found:
                message = f"{name} is named twice in this row"
                errors.append(CellError(line, self._header[name_index], "duplicate_name", message, name))
            elif name:
                found[name] = value or None
            elif value:
                message = "a value without its name"
                errors.append(CellError(line, self._header[value_index], "missing_name", message, value))
        return found

    def _list(
        self,
        line: int,
        cells: Sequence[str | None],
        field: Field,
        numbers: Sequence[Sequence[tuple[int, Field]]],
        errors: list[CellError],
    ) -> list[FieldValue]:
        """Equal values count once."""
        found: list[FieldValue] = []
        for columns in numbers:
            if not field.parts:
                value: FieldValue = self._cell(line, cells, columns[0][0], field, field, errors)
            else:
                value = {part.path: self._cell(line, cells, index, part, field, errors) for index, part in columns}
                for part in field.parts:
                    if (
                        part.required
                        and value.get(part.path) is None
                        and any(each is not None for each in value.values())
                    ):
                        message = "this one is needed where the others of its number are filled in"
                        column, path = self._header[columns[0][0]], self._prefix + field.path
                        errors.append(CellError(line, column, "missing_value", message, path=path))
                if all(each is None for each in value.values()):
                    value = None
            if value is not None and value not in found:
                found.append(value)
        return found

    def _cell(
        self,
        line: int,
        cells: Sequence[str | None],
        index: int,
        field: Field,
        owner: Field,
        errors: list[CellError],
    ) -> FieldValue:
        """`_WRONG` for a cell that cannot be used; None for one that is empty or not there. `owner`: the field that has a
        path of its own, of which `field` may be a part."""
        cell = cells[index]
        if cell is None:
            return None
        try:
            return field.parse(cell)
        except ValueError as error:
            errors.append(self._error(line, index, f"bad_{field.type.code}", error, cell, owner.path))
            return _WRONG


def _text(cell: str | None) -> str:
    """Names and values are data, so they are kept with the blanks around them; a cell of nothing but blanks is empty."""
    return cell if cell is not None and trimmed(cell) else ""


def _says_something(value: object) -> bool:
    """Whether a cell, or one of several cells, is not empty."""
    if isinstance(value, dict):
        return any(each is not None for each in value.values())
    return value is not None and value != []

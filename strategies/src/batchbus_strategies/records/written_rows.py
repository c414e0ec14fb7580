"""The rows of an export: prepared once for the columns of a file, so that a cell costs as little as it can.

Columns that stand beside each other and are of one kind have one function, which makes the cells of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from bson.decimal128 import Decimal128

from batchbus_strategies.records.combinations import Combinations
from batchbus_strategies.records.copying import Copies
from batchbus_strategies.records.fields import Field, is_living, value_at
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.shape import values_of
from batchbus_strategies.records.written_columns import ReferencedNames, WrittenColumn
from batchbus_strategies.strategy import Fields, FieldValue
from batchbus_strategies.tables import WrittenCell

__all__ = ["RowWriter", "Sources"]

_EXACT: Final = 2**53
"""Up to here, a float that is a whole number is just that one."""
_DIGITS: Final = 20
"""Zeros that a number may be written with in front of its digits, or behind them; others are text, with an exponent."""

Pairs = Sequence[tuple[str, str]]
"""The names of a combination, each with what an element has for it."""
Write = Callable[[FieldValue], WrittenCell]
Cells = Callable[[Fields, Pairs], list[WrittenCell]]
"""The cells of columns that stand beside each other, given the record or the element that they are of."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What cells are made of besides the record, and how truth values stand in them."""

    references: ReferencedNames
    copies: Mapping[str, Copies]
    truth: tuple[str, str]
    """The cells of true and of false."""


class RowWriter:
    """Makes the rows of records. It does no I/O."""

    def __init__(self, schema: Schema, columns: Sequence[WrittenColumn], sources: Sources) -> None:
        self.columns = columns
        self._schema = schema
        self._sources = sources
        self._combinations = Combinations(schema) if schema.combination is not None else None
        self._blocks: list[tuple[bool, int, Cells]] = []
        """Those of the record itself and those of its elements in turn: which of the two, how many columns, and the cells."""
        for of_element, block in groupby(columns, key=lambda column: column.of_element):
            beside = list(block)
            self._blocks.append((of_element, len(beside), _cells(beside, sources)))

    def rows(self, document: Fields) -> list[list[WrittenCell]]:
        """One for each element; for a record without elements, and for records of one row, one."""
        own = [None if of_element else cells(document, ()) for of_element, _, cells in self._blocks]
        elements = self._schema.elements(document)
        if not elements:
            return [_joined([[""] * self._blocks[n][1] if found is None else found for n, found in enumerate(own)])]
        names = self._combinations.names(document) if self._combinations is not None else {}
        rows = []
        for element in elements:
            pairs: Pairs = ()
            if self._combinations is not None:
                values = self._combinations.values(names, element)
                pairs = [(name, values.get(name, "")) for name in names]
            found = [
                block[2](element, pairs) if cells is None else cells
                for block, cells in zip(self._blocks, own, strict=True)
            ]
            rows.append(_joined(found))
        return rows

    def of_one(self, column: WrittenColumn) -> RowWriter:
        """Makes the same rows with one column alone."""
        return RowWriter(self._schema, [column], self._sources)


def _joined(blocks: Sequence[list[WrittenCell]]) -> list[WrittenCell]:
    row: list[WrittenCell] = []
    for cells in blocks:
        row += cells
    return row


def _cells(columns: Sequence[WrittenColumn], sources: Sources) -> Cells:
    """The cells of columns of one owner."""
    pieces: list[Cells] = []
    for key, same in groupby(columns, key=lambda column: "" if _is_plain(column.field) else column.field.path):
        beside = list(same)
        pieces.append(_of_fields(beside, sources) if not key else _of_field(beside, sources))
    if len(pieces) == 1:
        return pieces[0]

    def all_cells(owner: Fields, pairs: Pairs) -> list[WrittenCell]:
        row: list[WrittenCell] = []
        for piece in pieces:
            row += piece(owner, pairs)
        return row

    return all_cells


def _is_plain(each: Field) -> bool:
    """Whether its cell is made of the value at its path, and of nothing else."""
    if each.shape not in ("one", "id") or each.reference is not None or each.items is not None or "." in each.path:
        return False
    return each.shown is None or each.shown.cell is None


def _of_fields(columns: Sequence[WrittenColumn], sources: Sources) -> Cells:
    fields = [(column.field.path, _write_of(column.field, sources)) for column in columns]

    def cells(owner: Fields, _: Pairs) -> list[WrittenCell]:
        get = owner.get
        return ["" if (value := get(path)) is None else write(value) for path, write in fields]

    return cells


def _write_of(each: Field, sources: Sources) -> Write:
    """The cell of a value that is not None."""
    if each.shape == "id":
        return str
    match each.type.code:
        case "text":
            return str
        case "boolean":
            true, false = sources.truth
            return lambda value: true if value else false
        case "integer" | "number":
            return lambda value: _number(value, each)
        case _:
            return each.type.write


def _number(value: object, each: Field) -> WrittenCell:
    """A number is one in every format that has numbers, and no spreadsheet takes `-5` for a formula."""
    if type(value) is int:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            return ""
        if value.is_integer() and abs(value) < _EXACT:
            return int(value)
        value = Decimal(repr(value))
    elif isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _DIGITS:
        return value
    return int(value) if isinstance(value, int) else each.type.write(value)


def _of_field(columns: Sequence[WrittenColumn], sources: Sources) -> Cells:
    """All columns of one field that has several, or whose cell is not just its value."""
    each, path = columns[0].field, columns[0].field.path
    if each.combination is not None:
        return _of_combination(columns)
    if each.family is not None:
        return _of_family(columns)
    if each.reference is not None:
        return lambda owner, _: [sources.references.of(each, value_at(owner, path))] * len(columns)
    if each.items is not None and columns[0].place is None:
        values = values_of(each, sources.copies)
        return lambda owner, _: [each.type.write(values(owner))] * len(columns)
    if each.shape == "named":
        return _of_named(columns, _write_of(each, sources))
    if columns[0].place is not None:
        return _of_list(columns, sources)
    if each.shown is not None and each.shown.cell is not None:
        shown = each.shown.cell
        return lambda owner, _: [shown(owner)] * len(columns)
    write = _write_of(each, sources)
    return lambda owner, _: ["" if (value := value_at(owner, path)) is None else write(value)] * len(columns)


def _of_combination(columns: Sequence[WrittenColumn]) -> Cells:
    places = [(int(column.place or 0), 0 if column.part is None else 1) for column in columns]
    return lambda _, pairs: [pairs[n][which] if n < len(pairs) else "" for n, which in places]


def _of_family(columns: Sequence[WrittenColumn]) -> Cells:
    each, path = columns[0].field, columns[0].field.path
    assert each.family is not None
    identity, write = each.family.columns.identity, each.family.columns.write
    places = {column.place: n for n, column in enumerate(columns)}
    nothing: list[WrittenCell] = [""] * len(columns)

    def cells(owner: Fields, _: Pairs) -> list[WrittenCell]:
        found = value_at(owner, path)
        made = nothing.copy()
        seen = set()
        for item in found if isinstance(found, list) else ():
            if is_living(item) and (who := identity(item)) is not None and who not in seen and who in places:
                seen.add(who)
                made[places[who]] = write(item)
        return made

    return cells


def _of_named(columns: Sequence[WrittenColumn], write: Write) -> Cells:
    path, keys = columns[0].field.path, [column.place for column in columns]

    def cells(owner: Fields, _: Pairs) -> list[WrittenCell]:
        found = value_at(owner, path)
        found = found if isinstance(found, Mapping) else {}
        return ["" if (value := found.get(key)) is None else write(value) for key in keys]

    return cells


def _of_list(columns: Sequence[WrittenColumn], sources: Sources) -> Cells:
    """Of values, parts or copies that stand in a list, or of the only copy that there is."""
    each = columns[0].field
    values = values_of(each, sources.copies)
    specs = [(int(column.place or 0), _write_in_list(column, sources)) for column in columns]

    def cells(owner: Fields, _: Pairs) -> list[WrittenCell]:
        found = values(owner)
        count = len(found)
        return ["" if n >= count or (value := found[n]) is None else write(value) for n, write in specs]

    return cells


def _write_in_list(column: WrittenColumn, sources: Sources) -> Write:
    each, part = column.field, column.part
    if each.items is not None:
        return str
    if part is None:
        return _write_of(each, sources)
    if each.copied is not None:
        return lambda copy: "" if (value := copy.get(part.path)) is None else str(value)
    write = _write_of(part, sources)
    return lambda item: "" if (value := value_at(item, part.path)) is None else write(value)

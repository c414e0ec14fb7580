"""A look at the XML of a workbook before it is loaded, since loading it takes memory for the whole rectangle of a sheet.

The look streams. It finds how large that rectangle is, and where the first error value is, such as #N/A: the library that
loads the sheet gives such a cell out as an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from batchbus_strategies.tables.errors import NotATable
from batchbus_strategies.tables.limits import MAX_ROWS, MAX_SHEET_CELLS

__all__ = ["ErrorCell", "column_letters", "first_error_in_xlsx", "first_errors_in_ods"]

_COLUMNS: Final = re.compile(rb'\sr="([A-Z]{1,3})[0-9]')
_ROWS: Final = re.compile(rb'\sr="[A-Z]{0,3}([0-9]{1,7})"')
_ROW: Final = re.compile(rb"<row\b")
_CELL: Final = re.compile(rb"<c\b([^>]*)>")
_REFERENCE: Final = re.compile(rb'\sr="([A-Z]{1,3})([0-9]{1,7})"')
_PREFIX: Final = re.compile(rb"<(\w+:)worksheet\b")
_ODS_TABLE: Final = re.compile(rb"(?=<table:table[ >])")
_ODS_TABLE_START: Final = (b"<table:table ", b"<table:table>")
_ODS_ROW: Final = b"<table:table-row"
_ODS_CELL: Final = re.compile(rb"<table:(?:covered-)?table-cell\b")
_ODS_ROWS: Final = re.compile(rb'[^>]*table:number-rows-repeated="(\d+)"')
_ODS_COLUMNS: Final = re.compile(rb'[^>]*table:number-columns-repeated="(\d+)"')


class ErrorCell(NamedTuple):
    """A cell with an error value."""

    row: int
    """From 1."""
    column: int
    """From 0."""


def column_letters(column: int) -> str:
    """What a spreadsheet calls a column: `A` for 0, `AA` for 26."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return letters


def first_error_in_xlsx(xml: Iterable[bytes]) -> ErrorCell | None:
    """The first error cell of a sheet, by its rows. Raises `NotATable` for a rectangle that is too large to load."""
    first: ErrorCell | None = None
    rows = columns = 0
    for piece in _cut_before(_without_prefix(xml), b"<row"):
        begun = rows
        found = _COLUMNS.findall(piece)
        columns = max([columns, *map(_column_number, set(found))])
        rows = max([rows + len(_ROW.findall(piece)), *map(int, set(_ROWS.findall(piece)))])
        if piece.count(b"<c ") + piece.count(b"<c>") > len(
            found
        ):  # a cell may have no reference: it follows the one before
            columns = max([columns, *(row.count(b"<c") for row in piece.split(b"<row")[1:])])
        _check_rectangle(rows, columns)
        if first is None and b't="e"' in piece:
            first = _error_cell(piece, begun)
    return first


def first_errors_in_ods(xml: Iterable[bytes]) -> list[ErrorCell | None]:
    """The same for each sheet of an ODS, in their order; they are loaded together."""
    sheets: list[_OdsSheet] = []
    for piece in _cut_before(xml, _ODS_ROW):
        for part in _ODS_TABLE.split(piece):
            if part.startswith(_ODS_TABLE_START):
                sheets.append(_OdsSheet())
            for row in part.split(_ODS_ROW)[1:]:
                if sheets:
                    sheets[-1].add(row)
    return [sheet.first_error for sheet in sheets]


class _OdsSheet:
    """How large a sheet is so far. Empty rows and cells at its end do not count, since they are not loaded."""

    def __init__(self) -> None:
        self.first_error: ErrorCell | None = None
        self._rows = 0
        self._columns = 0

    def add(self, row: bytes) -> None:
        """`row` is the XML of a row from behind the name of its element, and perhaps of what follows."""
        row = row.partition(b"</table:table-row")[0]
        repeated = _repeated(_ODS_ROWS, row)
        if b"office:" in row or b"<text:" in row:
            width = column = 0
            for cell in _ODS_CELL.split(row)[1:]:
                columns = _repeated(_ODS_COLUMNS, cell)
                if b"office:" in cell or b"<text:" in cell:
                    width = column + columns
                    if b'value-type="error"' in cell and self.first_error is None:
                        self.first_error = ErrorCell(self._rows + 1, column)
                column += columns
            self._columns = max(self._columns, width)
            _check_rectangle(self._rows + repeated, self._columns)
        self._rows += repeated


def _repeated(pattern: re.Pattern[bytes], xml: bytes) -> int:
    match = pattern.match(xml)
    return int(match[1]) if match else 1


def _error_cell(piece: bytes, rows: int) -> ErrorCell | None:
    for row in piece.split(b"<row")[1:]:
        rows += 1
        for index, cell in enumerate(_CELL.finditer(row)):
            if b't="e"' in cell[1]:
                reference = _REFERENCE.search(cell[1])
                return (
                    ErrorCell(int(reference[2]), _column_number(reference[1]) - 1)
                    if reference
                    else ErrorCell(rows, index)
                )
    return None


def _check_rectangle(rows: int, columns: int) -> None:
    if rows > MAX_ROWS:
        raise NotATable(f"The sheet has more than {MAX_ROWS:,} rows, which is the most that it may have")
    if rows * columns > MAX_SHEET_CELLS:
        raise NotATable(
            f"The sheet reaches to row {rows:,} and column {column_letters(columns - 1)}, which are {rows * columns:,} "
            f"cells; it may have {MAX_SHEET_CELLS:,}, empty ones included. Delete what is beyond the table, or save the "
            "sheet as CSV"
        )


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _without_prefix(xml: Iterable[bytes]) -> Iterator[bytes]:
    """Elements without the prefix of their namespace, which some programs write, and attributes in double quotes."""
    prefix: bytes | None = None
    for piece in xml:
        if prefix is None and (match := _PREFIX.search(piece)):
            prefix = match[1]
        plain = piece.replace(b"<" + prefix, b"<") if prefix else piece
        yield plain.replace(b"'", b'"')


def _cut_before(xml: Iterable[bytes], element: bytes) -> Iterator[bytes]:
    """The same text in pieces that begin with an element, but for the first one: no row is in two of them."""
    rest = b""
    for piece in xml:
        rest += piece
        at = rest.rfind(element)
        if at > 0:
            yield rest[:at]
            rest = rest[at:]
    yield rest

"""A look at the XML of a workbook before it is loaded, since loading it takes memory for the whole rectangle of a sheet.

The look streams. It finds how large that rectangle is, and where the first error value is, such as #N/A: the library that
loads the sheet gives such a cell out as an empty one. What that library understands is counted however it is written: who
wants to fill the memory need not write XML as spreadsheets do. What cannot be told counts for the most that it may be.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from batchbus_strategies.tables.errors import NotATable
from batchbus_strategies.tables.limits import MAX_ROW_XML, MAX_ROWS, MAX_SHEET_CELLS, MAX_SHEET_MEMORY

__all__ = ["ErrorCell", "column_letters", "first_error_in_xlsx", "first_errors_in_ods", "lengths_of_texts"]

_CELL_MEMORY: Final = 80
"""Bytes that a cell of the rectangle takes, its text apart: measured with numbers and short texts."""
_CELL_XML: Final = 40
"""Bytes of XML that a cell has beside its text, at least."""
_VALUE: Final = re.compile(rb"<c\b([^<>]*)>\s*<v[^<>]*>\s*(\d{1,9})\s*</")
"""A cell whose value is a number, with its attributes. A cell that has a `<` in them is counted for the most it may be."""
_TEXT: Final = re.compile(rb"<(?:\w+:)?si\b")
_COLUMNS: Final = re.compile(rb' r="([A-Za-z]+)[0-9]')
_ROWS: Final = re.compile(rb' r="[A-Za-z]*([0-9]+)"')
_ROW: Final = re.compile(rb"<row\b")
_CELL: Final = re.compile(rb"<c\b([^<>]*)>")
_ANY_CELL: Final = re.compile(rb"<c[\s/>]")
_REFERENCE: Final = re.compile(rb' r="([A-Za-z]{1,3})0*([0-9]{1,7})"')
_BEFORE_EQUALS: Final = re.compile(rb"(?<! ) +=")
_AFTER_EQUALS: Final = re.compile(rb"= +")
_BLANKS: Final = bytes.maketrans(b"\t\r\n", b"   ")
_PREFIX: Final = re.compile(rb"<(\w+:)worksheet\b")
_ODS_TABLE: Final = re.compile(rb"(?=<table:table[ >])")
_ODS_TABLE_START: Final = (b"<table:table ", b"<table:table>")
_ODS_ROW: Final = b"<table:table-row"
_ODS_CELL: Final = re.compile(rb"<table:(?:covered-)?table-cell\b")
_ODS_ROWS: Final = re.compile(rb'table:number-rows-repeated="\+?0*(\d{1,12})')
_ODS_COLUMNS: Final = re.compile(rb'table:number-columns-repeated="\+?0*(\d{1,12})')


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


def lengths_of_texts(xml: Iterable[bytes]) -> Sequence[int]:
    """How many bytes each of the texts has that cells of an XLSX share. Each cell gets a copy when the sheet is loaded."""
    lengths = array("Q")
    odd, total = False, 0
    for piece in _cut_behind_tags(xml):
        total += len(piece)
        before, *texts = _TEXT.split(piece)
        if lengths:
            lengths[-1] += len(before)
        lengths.extend([len(text) for text in texts])
        odd = odd or b"<!" in piece
    # A comment may seem to have texts in it: then each may be as long as all together.
    return array("Q", [total]) * len(lengths) if odd else lengths


def first_error_in_xlsx(xml: Iterable[bytes], shared: Sequence[int]) -> ErrorCell | None:
    """The first error cell of a sheet, by its rows. `shared` has the lengths of the texts that its cells share.

    Raises `NotATable` for a rectangle that is too large to load, or texts that are.
    """
    first: ErrorCell | None = None
    rows = columns = cells = size = text = 0
    longest = max(shared, default=0)
    for written in _cut_before(_without_prefix(xml), b"<row"):
        piece = _without_spaces(written)
        begun = rows
        found = _COLUMNS.findall(piece)
        cells += len(found)
        size += len(written)
        if longest:
            numbers = [int(number) for attributes, number in _VALUE.findall(piece) if b't="s"' in attributes]
            text += sum([shared[number] for number in numbers if number < len(shared)])
            text += longest * (piece.count(b't="s"') - len(numbers))
        columns = max([columns, *map(_column_number, set(found))])
        rows = max([rows + len(_ROW.findall(piece)), *map(_number, set(_ROWS.findall(piece)))])
        if piece.count(b"<c") > len(found):  # a cell may have no reference: it follows the one before
            columns = max([columns, *(len(_ANY_CELL.findall(row)) for row in piece.split(b"<row")[1:])])
        _check_rectangle(rows, columns)
        _check_memory(rows * columns, text + max(0, size - _CELL_XML * cells))
        if first is None and b't="e"' in piece:
            first = _error_cell(piece, begun)
    return first


def first_errors_in_ods(xml: Iterable[bytes]) -> list[ErrorCell | None]:
    """The same for each sheet of an ODS, in their order; they are loaded together."""
    sheets: list[_OdsSheet] = []
    for written in _cut_before(_plain(xml), _ODS_ROW):
        piece = _without_spaces(written).replace(b"'", b'"')
        _check_memory(sum(sheet.cells for sheet in sheets), sum(sheet.text for sheet in sheets))
        for part in _ODS_TABLE.split(piece):
            if part.startswith(_ODS_TABLE_START):
                sheets.append(_OdsSheet())
            for row in part.split(_ODS_ROW)[1:]:
                if sheets:
                    sheets[-1].add(row)
    _check_memory(sum(sheet.cells for sheet in sheets), sum(sheet.text for sheet in sheets))
    return [sheet.first_error for sheet in sheets]


class _OdsSheet:
    """How large a sheet is so far. Empty rows and cells at its end do not count, since they are not loaded."""

    def __init__(self) -> None:
        self.first_error: ErrorCell | None = None
        self.cells = 0
        """Those of its rectangle."""
        self.text = 0
        """Bytes of text in them, about."""
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
                    self.text += repeated * columns * max(0, len(cell) - 2 * _CELL_XML)
                    if b'value-type="error"' in cell and self.first_error is None:
                        self.first_error = ErrorCell(self._rows + 1, column)
                column += columns
            self._columns = max(self._columns, width)
            _check_rectangle(self._rows + repeated, self._columns)
            self.cells = (self._rows + repeated) * self._columns
        self._rows += repeated


def _repeated(pattern: re.Pattern[bytes], xml: bytes) -> int:
    return max(map(int, pattern.findall(xml)), default=1)


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


def _check_memory(cells: int, text: int) -> None:
    needed = _CELL_MEMORY * cells + text
    if needed > MAX_SHEET_MEMORY:
        raise NotATable(
            f"The sheet would take about {needed // 1024**2:,} MiB of memory, for {cells:,} cells and {text // 1024**2:,} MiB "
            f"of text; it may take {MAX_SHEET_MEMORY // 1024**2:,} MiB. Save it as CSV"
        )


def _number(digits: bytes) -> int:
    """A longer one is too large in any case, and Python refuses to read one of thousands of digits."""
    return int(digits.lstrip(b"0")[:12] or b"0")


def _without_spaces(xml: bytes) -> bytes:
    """Without blanks around the signs between attributes and their values, which no spreadsheet writes."""
    xml = xml.translate(_BLANKS)
    if b" =" not in xml and b"= " not in xml:
        return xml
    return _AFTER_EQUALS.sub(b"=", _BEFORE_EQUALS.sub(b"=", xml))


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters[:8].upper():
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


def _plain(xml: Iterable[bytes]) -> Iterator[bytes]:
    """The XML of an ODS. Raises `NotATable` for what may hide elements, or seem to be some: no spreadsheet writes it.

    The library that loads the sheet would leave out a text that is in CDATA besides.
    """
    before = b""
    for piece in xml:
        looked_at = before[-1:] + piece
        if not before and piece.removeprefix(b"\xef\xbb\xbf").startswith(b"<?xml "):
            looked_at = piece.partition(b"?>")[2]
        if b"<!" in looked_at or b"<?" in looked_at:
            raise NotATable(
                "The ODS has comments, CDATA or instructions in its XML; save it anew in a spreadsheet program"
            )
        yield piece
        before = piece


def _cut_before(xml: Iterable[bytes], element: bytes) -> Iterator[bytes]:
    """The same text in pieces that begin with an element, but for the first one: no row is in two of them.

    Each byte is looked at once, however long it takes until the next element. Raises `NotATable` if that is too long.
    """
    held = _Held()
    end = b""  # of what is held, in which the element may have begun
    for piece in xml:
        text = end + piece
        at = text.rfind(element)
        if at > 0 or (at == 0 and held.size):
            yield held.taken(text[:at])
            text = text[at:]
        kept = max(0, len(text) - len(element) + 1)
        held.add(text[:kept])
        end = text[kept:]
    yield held.taken(end)


def _cut_behind_tags(xml: Iterable[bytes]) -> Iterator[bytes]:
    """The same text in pieces that end with a tag: none is cut in two. What follows the last tag is left out."""
    held = _Held()
    for piece in xml:
        at = piece.rfind(b">") + 1
        if at:
            yield held.taken(piece[:at])
        held.add(piece[at:])


class _Held:
    """Pieces that are kept until it is known where to cut; joined once, so that many small ones cost no more than one."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > MAX_ROW_XML:
            raise NotATable(
                f"The sheet has more than {MAX_ROW_XML // 1024**2} MiB of XML in one row or text, which is the most that "
                "there may be. Save it as CSV"
            )
        self._pieces.append(piece)

    def taken(self, piece: bytes) -> bytes:
        """All of it with this piece at its end. Nothing is held any more."""
        pieces, self._pieces, self.size = [*self._pieces, piece], [], 0
        return b"".join(pieces)

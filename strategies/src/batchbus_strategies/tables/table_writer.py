"""Writing table files: CSV and TSV, XLSX, JSON Lines and JSON arrays, each compressed if that is asked for."""

from __future__ import annotations

import asyncio
import codecs
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from batchbus_strategies.strategy import FileWriter
from batchbus_strategies.tables.csv_writer import csv_line, quoted
from batchbus_strategies.tables.decoding import text_encoding
from batchbus_strategies.tables.errors import NotATable
from batchbus_strategies.tables.formulas import guarded
from batchbus_strategies.tables.options import Compression, Format
from batchbus_strategies.tables.packing import packer
from batchbus_strategies.tables.xlsx_writer import XlsxSheet

__all__ = ["TableWriter", "TextFile", "WriteOptions", "WrittenCell", "file_ending", "write_table", "written_format"]

WrittenCell = str | int | Decimal | None
"""Text is written as text, whatever it looks like, and a number as a number where the format has numbers. None is an empty
cell, and in JSON a key that is not there."""

_COPIED: Final = 1024 * 1024
"""Bytes of a finished workbook that are copied at a time."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a file is written."""

    format: Format = "csv"
    """An ODS is written as XLSX."""
    compression: Compression | None = None
    delimiter: str | None = None
    """For CSV alone; a semicolon if there is none given."""
    encoding: str = "utf-8"
    """For the formats of text. What it does not have is an error."""
    line_end: str = "\r\n"
    """For CSV and TSV."""
    sheet: str = "Sheet1"
    """For XLSX: the name of the sheet with the rows."""
    notes: Sequence[Sequence[str]] = ()
    """For XLSX: rows of a second sheet, which explains the first."""
    notes_sheet: str = "Notes"
    """The name of that sheet."""
    guard: bool = True
    """Whether cells that a spreadsheet would run as a formula get an apostrophe. JSON never has one, since programs read
    it that would take the apostrophe for a part of the text."""
    preamble: str = ""
    """For the formats of text: what stands in front of the header, such as a byte order mark."""
    name: str = "table"
    """The name of the file in a ZIP, without its ending."""


class TableWriter(ABC):
    """A table that is being written."""

    @abstractmethod
    async def write(self, rows: Iterable[Sequence[WrittenCell]]) -> None:
        """Append rows, with cells in the order of the header. Raises `NotATable` for what the format cannot hold."""


@asynccontextmanager
async def write_table(
    file: FileWriter, header: Sequence[str], options: WriteOptions | None = None
) -> AsyncIterator[TableWriter]:
    """Write a table into a file of the file store. It is complete when the block ends without an error.

    The same rows give the same bytes. Raises `NotATable` for what the format cannot hold.
    """
    options = options or WriteOptions()
    if written_format(options.format) == "xlsx":
        with await asyncio.to_thread(XlsxSheet, header, options.sheet, guard=options.guard) as sheet:
            yield _XlsxWriter(sheet)
            await asyncio.to_thread(sheet.finish, options.notes, options.notes_sheet)
            output = _Output(file, options)
            while piece := await asyncio.to_thread(sheet.file.read, _COPIED):
                await output.write(piece)
            await output.finish()
        return
    text = TextFile(file, options)
    lines = _lines_of(header, options)
    await text.write(options.preamble + lines.begin())
    yield _TextWriter(text, lines)
    await text.write(lines.end())
    await text.finish()


def written_format(found: Format) -> Format:
    """The format that a file is written in which is asked for in this one: XLSX for an ODS."""
    return "xlsx" if found == "ods" else found


def file_ending(found: Format, compression: Compression | None = None) -> str:
    """What the name of a file ends in that is written so, such as `.csv.gz`."""
    packed = {"gzip": ".gz", "zip": ".zip", None: ""}[compression]
    return f".{written_format(found)}" + packed


class _Output:
    """A file of the file store, behind what compresses it."""

    def __init__(self, file: FileWriter, options: WriteOptions) -> None:
        self._file = file
        self._packer = packer(options.compression, options.name + file_ending(options.format))

    async def write(self, content: bytes) -> None:
        if packed := await asyncio.to_thread(self._packer.pack, content):
            await self._file.write(packed)

    async def finish(self) -> None:
        if packed := await asyncio.to_thread(self._packer.finish):
            await self._file.write(packed)


class TextFile:
    """A file of text, which is encoded and compressed on its way."""

    def __init__(self, file: FileWriter, options: WriteOptions) -> None:
        """Raises `NotATable` for an encoding that there is not."""
        self._output = _Output(file, options)
        self._encoding = text_encoding(options.encoding)
        self._encoder = codecs.getincrementalencoder(self._encoding)()

    async def write(self, text: str, *, final: bool = False) -> None:
        """Raises `NotATable` for a character that the encoding does not have."""
        try:
            encoded = self._encoder.encode(text, final)
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise NotATable(
                f"The character {character!r} cannot be written in the encoding {self._encoding}; choose utf-8"
            ) from None
        if encoded:
            await self._output.write(encoded)

    async def finish(self) -> None:
        """Complete the file."""
        await self.write("", final=True)
        await self._output.finish()


class _XlsxWriter(TableWriter):
    def __init__(self, sheet: XlsxSheet) -> None:
        self._sheet = sheet

    async def write(self, rows: Iterable[Sequence[WrittenCell]]) -> None:
        await asyncio.to_thread(self._sheet.add, rows)


class _Lines(ABC):
    """The text of a table in some format."""

    @abstractmethod
    def begin(self) -> str: ...

    @abstractmethod
    def rows(self, rows: Iterable[Sequence[WrittenCell]]) -> str: ...

    def end(self) -> str:
        return ""


class _TextWriter(TableWriter):
    def __init__(self, text: TextFile, lines: _Lines) -> None:
        self._text = text
        self._lines = lines

    async def write(self, rows: Iterable[Sequence[WrittenCell]]) -> None:
        await self._text.write(await asyncio.to_thread(self._lines.rows, rows))


def _lines_of(header: Sequence[str], options: WriteOptions) -> _Lines:
    match options.format:
        case "json" | "jsonl":
            return _JsonLines(header, array=options.format == "json")
        case _:
            delimiter = "\t" if options.format == "tsv" else options.delimiter or ";"
            return _CsvLines(header, delimiter, options.line_end, guard=options.guard)


class _CsvLines(_Lines):
    def __init__(self, header: Sequence[str], delimiter: str, line_end: str, *, guard: bool) -> None:
        self._header = header
        self._delimiter = delimiter
        self._line_end = line_end
        self._guard = guard

    def begin(self) -> str:
        return self.rows([self._header])

    def rows(self, rows: Iterable[Sequence[WrittenCell]]) -> str:
        cell_of, delimiter, line_end = self._cell, self._delimiter, self._line_end
        lines = [
            csv_line(
                ["" if cell is None or cell == "" else cell_of(cell) for cell in row],
                delimiter=delimiter,
                line_end=line_end,
            )
            for row in rows
        ]
        return "".join(lines)

    def _cell(self, cell: str | int | Decimal) -> str:
        if not isinstance(cell, str):
            return _number(cell)
        if cell.isalnum():
            return cell  # as most are
        return quoted(guarded(cell) if self._guard else cell, self._delimiter)


class _JsonLines(_Lines):
    def __init__(self, header: Sequence[str], *, array: bool) -> None:
        self._keys = [json.dumps(name, ensure_ascii=False) + ":" for name in header]
        self._array = array
        self._separator = "[\n" if array else ""

    def begin(self) -> str:
        return ""

    def rows(self, rows: Iterable[Sequence[WrittenCell]]) -> str:
        pieces: list[str] = []
        for row in rows:
            members = [key + _json(cell) for key, cell in zip(self._keys, row, strict=True) if cell is not None]
            pieces.append(self._separator + "{" + ",".join(members) + "}" + ("" if self._array else "\n"))
            self._separator = ",\n" if self._array else ""
        return "".join(pieces)

    def end(self) -> str:
        if not self._array:
            return ""
        return "[]\n" if self._separator == "[\n" else "\n]\n"


def _json(cell: str | int | Decimal) -> str:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, str) else _number(cell)


def _number(value: int | Decimal) -> str:
    """As people write it, and JSON. Raises `NotATable` for what is no number."""
    if not isinstance(value, int | Decimal):  # nobody but a type checker has kept it away
        raise NotATable(
            f"A cell is text, an int, a Decimal or None, and not {value!r}, a {type(value).__name__}", public=False
        )
    if isinstance(value, Decimal) and not value.is_finite():
        raise NotATable(f"{value} cannot be written as a number")
    return f"{value:f}" if isinstance(value, Decimal) else str(int(value))

"""Reading CSV in chunks: rows with their line numbers out of a stream of bytes, without ever holding the file.

The `csv` module parses, in strict mode. It wants whole records, while a stream breaks off anywhere; so a record that
is not finished when a chunk ends is kept back and parsed again, from its beginning, with the next chunk.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Collection
from typing import Final

from batchbus_strategies.tables.decoding import START, Decoder, beginning
from batchbus_strategies.tables.dialect import DELIMITERS, refuse_other_formats, separator_line, sniff_delimiter
from batchbus_strategies.tables.errors import NotATable, TableError
from batchbus_strategies.tables.formulas import may_be_guarded, unguarded
from batchbus_strategies.tables.head import Head
from batchbus_strategies.tables.limits import MAX_CELL, MAX_COLUMNS, MAX_RECORD

__all__ = ["CsvReader", "CsvRow"]

_SNIFFED: Final = 64 * 1024
"""Characters of the file that have to show the delimiter."""
_MAX_BATCH: Final = 8 * MAX_CELL
"""Characters in the rows that are given out at a time, about: more rows of them wait in the file."""
_MAX_BLANK: Final = 64 * 1024
"""Characters in front of the header that say nothing."""
_NO_CONTENT: Final = str.maketrans("", "", "".join(DELIMITERS) + '"')

CsvRow = tuple[int, list[str]]
"""The line that the row starts on (physical lines, the header's is 1), and its cells. Of a row that has more cells than a
file may have columns, one more than that is given out."""


class CsvReader:
    """One CSV file. Make it with `CsvReader.open`, which reads up to the header; then take `batches`."""

    def __init__(self, chunks: AsyncIterator[bytes], decoder: Decoder, *, raw: bool = False) -> None:
        self._chunks = chunks
        self._decoder = decoder
        self._ended = False
        self._rest = ""
        """The beginning of a record that is not finished yet."""
        self._line = 0
        """Physical lines before it."""
        self._rows: list[CsvRow] = []
        """Parsed, and not given out yet."""
        self._waiting = 0
        """Characters that they were parsed from."""
        self._below_header = ""
        """Text that came with the header."""
        self._raw = raw
        self.delimiter = ","
        self.header: list[str] = []
        """The column names, without the spaces around them."""
        self.header_line = 1
        self.line_end = "\n"
        """That of the header."""
        self.announced: str | None = None
        """The first line, if it names the delimiter, as in `sep=;`, without its line end."""

    @classmethod
    async def open(
        cls,
        chunks: AsyncIterator[bytes],
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        known: Collection[str] = (),
        raw: bool = False,
    ) -> CsvReader:
        """Find out encoding and delimiter, unless they are given, and read the header.

        `known` are column names to expect: they help to tell delimiters apart, and a CSV from something else. With `raw`,
        names and cells are as they are in the file, with their blanks and their guards against formulas.
        Raises `NotATable` if it is none or is empty, `TableError` if its header cannot be read.
        """
        # The limit is global to the csv module; raising it is all that can be done without harm to others.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
        reader = cls(chunks, Decoder(encoding), raw=raw)
        await reader._read_header(delimiter, known)
        return reader

    @property
    def has_mark(self) -> bool:
        """Whether the file begins with a byte order mark."""
        return self._decoder.has_mark

    @property
    def encoding(self) -> str:
        """As found out so far: a file that began in ASCII may turn out to be Windows-1252 later."""
        return self._decoder.encoding

    async def batches(self, size: int = 1000) -> AsyncIterator[list[CsvRow]]:
        """The rows below the header, at least `size` at a time unless they are large; those without content left out.

        Raises `TableError` where the file stops being a CSV, after the rows before.
        """
        text = self._below_header
        while True:
            try:
                self._parse(text)
                if len(self._rows) >= size or self._waiting >= _MAX_BATCH:
                    rows, self._rows, self._waiting = self._rows, [], 0
                    yield rows
                if self._ended:
                    break
                text = await self._enough_text()
            except (NotATable, TableError):
                if self._rows:
                    yield self._rows
                raise
        if self._rows:
            yield self._rows

    async def _read_header(self, delimiter: str | None, known: Collection[str]) -> None:
        start = await beginning(self._chunks)
        self._ended = len(start) < START
        refuse_other_formats(start, "")
        head = Head(self._decoder.decode(start, final=self._ended), self._next_text, MAX_CELL)
        first, whole = await self._first_record(head)
        refuse_other_formats(start, first)
        announced = separator_line(first)
        if announced:
            self.announced = first.rstrip("\r\n")
            self.delimiter = announced
            self._line += 1
            first, whole = await self._first_record(head)
        sniffed, cells = sniff_delimiter(first.strip()[:_SNIFFED], known)
        self.delimiter = delimiter or announced or sniffed
        if "\0" in first + head.rest and not any(cell in known for cell in cells):
            raise NotATable("The file is not a CSV: it contains binary data")
        self._parse(first, complete=whole)
        while not self._rows:
            if self._ended:
                raise NotATable("The file is empty")
            self._parse(await self._enough_text())
        self.header_line, names = self._rows.pop(0)
        if len(names) > MAX_COLUMNS:
            raise NotATable(f"The file has more than {MAX_COLUMNS:,} columns, which is the most that it may have")
        self.header = names if self._raw else [name.strip() for name in names]
        self.line_end = first[len(first.rstrip("\r\n")) :][-2:] or "\n"
        self._below_header = head.rest

    async def _first_record(self, head: Head) -> tuple[str, bool]:
        """The next one with anything in it, and whether it is whole. Raises `NotATable` if there is none."""
        skipped = 0
        while True:
            record, whole = await head.take()
            if record.translate(_NO_CONTENT).strip():
                return record, whole
            if not whole:
                raise NotATable("The file is empty")
            skipped += len(record)
            if skipped > _MAX_BLANK:
                raise NotATable(f"The file has nothing in its first {_MAX_BLANK:,} characters")
            self._line += len(list(io.StringIO(record, newline="")))  # as `_parse` counts: a form feed ends no line

    async def _next_text(self) -> str:
        """The next piece of text; an empty one is the end."""
        text = ""
        while not text and not self._ended:
            chunk = await anext(self._chunks, b"")
            self._ended = not chunk
            text = self._decoder.decode(chunk, final=self._ended)
        return text

    async def _enough_text(self) -> str:
        """As much again as is kept back: a record over many chunks is parsed a few times then, not once a chunk."""
        pieces = [await self._next_text()]
        size = len(pieces[0])
        while size < len(self._rest) and not self._ended:
            pieces.append(await self._next_text())
            size += len(pieces[-1])
        return "".join(pieces)

    def _parse(self, text: str, *, complete: bool = False) -> None:
        """Add the records that end in this piece of text. `complete`: it is known to end at a line end."""
        text = self._rest + text
        end = len(text)
        if not (self._ended or complete):  # a line feed may yet follow a carriage return at the end
            end = max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1
        lines = list(io.StringIO(text[:end], newline=""))
        done = 0
        rows: list[CsvRow] = []
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        try:
            for cells in reader:
                if any(cells):
                    rows.append((self._line + done + 1, cells[: MAX_COLUMNS + 1]))
                done = reader.line_num
        except csv.Error as error:
            if self._ended or reader.line_num < len(lines):
                self._rows += self._unguarded(text, rows)
                raise self._error(error, lines[done:], done) from None
        self._rows += self._unguarded(text, rows)
        self._waiting += end
        self._line += done
        self._rest = "".join(lines[done:]) + text[end:]
        if len(self._rest) > MAX_CELL:
            self._check_size(self._rest, self._line + 1)

    def _unguarded(self, text: str, rows: list[CsvRow]) -> list[CsvRow]:
        if self._raw or not may_be_guarded(text):
            return rows
        return [(line, [unguarded(cell) for cell in cells]) for line, cells in rows]

    def _error(self, error: csv.Error, record: list[str], done: int) -> TableError:
        line = self._line + done + 1
        self._check_size("".join(record), line)
        if self._ended and str(error) == "unexpected end of data":
            return TableError("a quoted cell that begins in this row is never closed", line=line)
        return TableError(f"this is not CSV: {error}", line=line, value=record[0].strip())

    def _check_size(self, record: str, line: int) -> None:
        """Raise `TableError` for an unfinished record that is too large already."""
        quoted_or_plain = re.compile(rf'(?:"[^"]*+(?:""[^"]*+)*+"?|[^"{re.escape(self.delimiter)}\r\n]*)')
        position = 0
        for column in range(len(self.header) or 1):
            match = quoted_or_plain.match(record, position)
            assert match  # it matches an empty cell, too
            if match.end() - match.start() > MAX_CELL:
                name = self.header[column] if self.header else None
                reason = f"a cell may have {MAX_CELL:,} characters at most; is a quote never closed?"
                raise TableError(reason, line=line, column=name, value=match[0])
            position = match.end() + 1
        if len(record) > MAX_RECORD:
            raise TableError(f"a row may have {MAX_RECORD:,} characters at most", line=line)

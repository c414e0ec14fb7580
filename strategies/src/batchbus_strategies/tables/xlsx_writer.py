"""Writing a workbook row by row, with the memory of one row. It blocks, and is meant for a thread."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Final, Self

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from batchbus_strategies.tables.errors import CellTooLong, NotATable
from batchbus_strategies.tables.formulas import guarded
from batchbus_strategies.tables.limits import MAX_ROWS

__all__ = ["XlsxSheet"]

_MAX_TEXT: Final = 32_767
"""Characters that a cell of XLSX may have."""
_MAX_COLUMNS: Final = 16_384
_MAX_DIGITS: Final = 15
"""Digits of a number that a spreadsheet keeps. A number that has more of them is written as text."""
_ALWAYS: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - the format has no time zone
"""When each workbook says that it was made, so that the same rows give the same bytes."""
_IN_MEMORY: Final = 4 * 1024 * 1024


class XlsxSheet:
    """A workbook with the rows on one sheet, and notes on another one if there are any.

    Every text is a cell of text, so that leading zeros and long barcodes survive. Leave the context manager when the
    content of `file` was taken.
    """

    def __init__(self, header: Sequence[str], name: str, *, guard: bool = True) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as this
        """The workbook, after `finish`, from its beginning."""
        self._guard = guard
        self._workbook = xlsxwriter.Workbook(self.file, {"constant_memory": True, "nan_inf_to_errors": False})
        self._workbook.set_properties({"created": _ALWAYS})
        try:
            self._sheet = self._workbook.add_worksheet(name)
        except XlsxWriterException as error:
            raise NotATable(f"A sheet cannot be called {name!r}: {error}") from None
        self._finished = False
        self._rows = 0
        self.add([header])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._finished:  # it has a temporary file of its own, which goes away when it is closed
            with contextlib.suppress(OSError, XlsxWriterException):
                self._workbook.close()
        self.file.close()

    def add(self, rows: Iterable[Sequence[str | int | Decimal | None]]) -> None:
        """Append rows. Raises `NotATable` for what XLSX cannot hold."""
        sheet = self._sheet
        for row in rows:
            if self._rows >= MAX_ROWS:
                raise NotATable(f"An XLSX may have {MAX_ROWS:,} rows with its header; write CSV instead")
            if len(row) > _MAX_COLUMNS:
                raise NotATable(f"An XLSX may have {_MAX_COLUMNS:,} columns; write CSV instead")
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    self._text(column, cell)
                elif cell is not None:
                    if _digits(cell) > _MAX_DIGITS:
                        self._text(column, str(cell))
                    else:
                        sheet.write_number(self._rows, column, cell)
            self._rows += 1

    def _text(self, column: int, text: str) -> None:
        if self._guard:
            text = guarded(text)
        if len(text) > _MAX_TEXT:
            raise CellTooLong(
                f"Row {self._rows + 1} has a cell of {len(text):,} characters; a cell of XLSX may have {_MAX_TEXT:,}. Write "
                "CSV instead"
            )
        if text:
            self._sheet.write_string(self._rows, column, text)

    def finish(self, notes: Sequence[Sequence[str]] = (), notes_sheet: str = "Notes") -> None:
        """Complete `file`. `notes` are the rows of a second sheet."""
        if notes:
            sheet = self._workbook.add_worksheet(notes_sheet)
            for number, row in enumerate(notes):
                for column, text in enumerate(row):
                    sheet.write_string(number, column, guarded(text)[:_MAX_TEXT])
        self._workbook.close()
        self._finished = True
        self.file.seek(0)


def _digits(value: int | Decimal) -> int:
    if not isinstance(value, int | Decimal):
        raise NotATable(
            f"A cell is text, an int, a Decimal or None, and not {value!r}, a {type(value).__name__}", public=False
        )
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise NotATable(f"{value} cannot be written as a number")
        return len(value.normalize().as_tuple().digits)
    return len(str(abs(value)).rstrip("0"))

"""A sheet of an XLSX or ODS, loaded whole by python-calamine: its memory grows with the sheet, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, Final, Literal

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from batchbus_strategies.tables.errors import NotATable, TableError, shortened
from batchbus_strategies.tables.limits import MAX_CELL, MAX_COLUMNS
from batchbus_strategies.tables.workbook_check import (
    column_letters,
    first_error_in_xlsx,
    first_errors_in_ods,
    lengths_of_texts,
)
from batchbus_strategies.tables.workbook_parts import WorkbookParts

__all__ = ["LoadedSheet"]

Cell = int | float | str | bool | time | date | datetime | timedelta

_CHANGED_FROM: Final = 1e15
"""Spreadsheets keep 15 digits of a number: one that has more, such as a long barcode, was changed before it came here."""
_NAMED: Final = 20
"""Sheets that an error names."""


class LoadedSheet:
    """The sheet that is read, with all names of sheets. It blocks, and is meant for a thread."""

    def __init__(self, file: IO[bytes], found: Literal["xlsx", "ods"], wanted: str | int | None) -> None:
        """`wanted` is a name or a number from 1; if it is None, the first visible sheet with content is loaded.

        Raises `NotATable`.
        """
        self._is_ods = found == "ods"
        parts = WorkbookParts(file)
        parts.check_others()
        errors_in_ods = first_errors_in_ods(parts.ods_sheets()) if self._is_ods else []
        file.seek(0)
        try:
            with CalamineWorkbook.from_filelike(file) as workbook:
                self.sheets: tuple[str, ...] = tuple(workbook.sheet_names)
                candidates = _visible(workbook) if wanted is None else [self._named(wanted)]
                for name in candidates:
                    if self._is_ods:
                        self._first_error = errors_in_ods[self.sheets.index(name)]
                    else:
                        xml, texts = parts.xlsx_sheet(name)
                        self._first_error = first_error_in_xlsx(xml, lengths_of_texts(texts))
                    sheet = workbook.get_sheet_by_name(name)
                    if sheet.start is not None:
                        self._keep(sheet)
                        return
        except PasswordError:
            raise NotATable("The workbook has a password; save it without one") from None
        except CalamineError as error:
            raise NotATable(f"The {found.upper()} cannot be read: {error}") from None
        raise NotATable("The file is empty" if wanted is None else f"The sheet {shortened(str(wanted))!r} is empty")

    def _keep(self, sheet: CalamineSheet) -> None:
        self.name = sheet.name
        """The name of the sheet."""
        self.height = max(sheet.total_height, 1)
        """The number of its last row."""
        self.header: list[str] = []
        """What is in the first row that is not empty, up to the last cell that is not."""
        self.header_row = 1
        """The number of that row."""
        self._offset = sheet.start[1] if sheet.start else 0
        self._rows: Iterator[tuple[int, list[Cell]]] = enumerate(sheet.iter_rows(), start=1)
        for row, texts in self.rows():  # columns on the side of the sheet that have nothing in them are left out
            self.header, self.header_row = texts, row
            break
        while self.header and not self.header[-1]:
            self.header.pop()
        if not self.header:
            raise NotATable("The sheet is empty")
        if len(self.header) > MAX_COLUMNS:
            raise NotATable(f"The file has more than {MAX_COLUMNS:,} columns, which is the most that it may have")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows that have not been given out yet, by their number from 1, with all cells as text.

        Rows without content are left out. Raises `TableError`.
        """
        error_row = self._first_error.row if self._first_error else 0
        for row, cells in self._rows:
            if row == error_row and self._first_error:
                column = self._column(self._first_error.column - self._offset)
                raise TableError("the cell has an error value, such as #N/A", line=row, column=column, unit="row")
            texts = [
                cell if type(cell) is str and len(cell) <= MAX_CELL else self._text(cell, row, index)
                for index, cell in enumerate(cells[: MAX_COLUMNS + 1])
            ]
            if any(texts):
                yield row, texts

    def _text(self, cell: Cell, row: int, column: int) -> str:
        match cell:
            case str():
                reason = f"a cell may have {MAX_CELL:,} characters at most"
                raise TableError(reason, line=row, column=self._column(column), value=cell, unit="row")
            case bool():
                return "TRUE" if cell else "FALSE"
            case int() | float():
                if abs(cell) >= _CHANGED_FROM:
                    raise TableError(
                        "a number with more than 15 digits was changed by the spreadsheet; format the cell as text, and "
                        "enter it again",
                        line=row,
                        column=self._column(column),
                        value=repr(cell),
                        unit="row",
                    )
                return str(int(cell)) if cell == int(cell) else repr(cell)
            case timedelta():
                return _duration(cell)
            case _:
                return cell.isoformat()

    def _column(self, column: int) -> str:
        """What a column is called in errors, by its index in a row."""
        name = self.header[column].strip() if column < len(self.header) else ""
        return name or column_letters(column + self._offset)

    def _named(self, wanted: str | int) -> str:
        if isinstance(wanted, str) and wanted in self.sheets:
            return wanted
        number = int(wanted) if isinstance(wanted, int) or (wanted.isascii() and wanted.isdecimal()) else 0
        if 1 <= number <= len(self.sheets):
            return self.sheets[number - 1]
        shown = ", ".join(f"{index}: {shortened(name)}" for index, name in enumerate(self.sheets[:_NAMED], start=1))
        more = f" and {len(self.sheets) - _NAMED} more" if len(self.sheets) > _NAMED else ""
        raise NotATable(f"There is no sheet {shortened(str(wanted))!r} in the file; there are {shown}{more}")


def _visible(workbook: CalamineWorkbook) -> list[str]:
    """The names of the sheets to look at, those that people see if there are any."""
    of_cells = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    visible = [sheet for sheet in of_cells if sheet.visible == SheetVisibleEnum.Visible]
    return [sheet.name for sheet in visible or of_cells]


def _duration(value: timedelta) -> str:
    """As in ISO 8601, and as an ODS has it."""
    seconds = abs(value.total_seconds())
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:09.6f}".rstrip("0").rstrip(".") if rest % 1 else f"{int(rest):02}"
    return f"{'-' if value < timedelta() else ''}PT{hours:02}H{minutes:02}M{text}S"

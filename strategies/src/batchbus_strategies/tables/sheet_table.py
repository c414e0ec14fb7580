"""A sheet of an XLSX or ODS as a `Table`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from batchbus_strategies.tables.errors import TableError
from batchbus_strategies.tables.formulas import unguarded
from batchbus_strategies.tables.loaded_sheet import LoadedSheet
from batchbus_strategies.tables.options import TableFacts, TableOptions
from batchbus_strategies.tables.source import Source, spooled
from batchbus_strategies.tables.table import Row, Table, with_width, without_errors_column

__all__ = ["SheetTable"]


class SheetTable(Table):
    """Rows of a sheet, each with its number in the sheet."""

    def __init__(self, source: Source, found: Literal["xlsx", "ods"], sheet: LoadedSheet) -> None:
        self._source = source
        self._format: Literal["xlsx", "ods"] = found
        self._sheet = sheet
        self._line = sheet.header_row
        names = [unguarded(name.strip()).strip() for name in sheet.header]
        self._columns = without_errors_column(names)
        self.header = names if self._columns is None else [names[index] for index in self._columns]

    @classmethod
    async def open(cls, source: Source, options: TableOptions, found: Literal["xlsx", "ods"]) -> SheetTable:
        """Raises `NotATable`, and `TableError` for a header with an error value."""
        return cls(source, found, await load_sheet(source, options, found))

    @property
    def facts(self) -> TableFacts:
        return TableFacts(
            format=self._format,
            compression=self._source.compression,
            header_line=self._sheet.header_row,
            sheet=self._sheet.name,
            sheets=self._sheet.sheets,
        )

    @property
    def progress(self) -> float:
        return min(self._line / self._sheet.height, 1.0)

    async def batches(self, size: int = 1000) -> AsyncIterator[list[Row]]:
        remaining = self._sheet.rows()
        while True:
            rows, error = await asyncio.to_thread(self._next_rows, remaining, size)
            if rows:
                self._line = rows[-1][0]
                yield rows
            if error:
                raise error
            if len(rows) < size:
                return

    def _next_rows(self, remaining: Iterator[tuple[int, list[str]]], size: int) -> tuple[list[Row], TableError | None]:
        """As many rows, fewer only at the end of the sheet, or in front of an error."""
        width = len(self._sheet.header)
        columns = self._columns
        rows: list[Row] = []
        try:
            for line, texts in remaining:
                cells: list[str | None] = [unguarded(text) if text[:1] == "'" else text for text in texts]
                if len(cells) != width:
                    cells = with_width(cells, width)
                if columns is not None:
                    cells = [cells[index] for index in columns] + cells[width:]
                    if not any(cells):
                        continue
                rows.append((line, cells))
                if len(rows) == size:
                    break
        except TableError as error:
            return rows, error
        return rows, None


async def load_sheet(source: Source, options: TableOptions, found: Literal["xlsx", "ods"]) -> LoadedSheet:
    """The sheet that the options name. Raises `NotATable`, `TableError`."""
    with await spooled(source) as file:
        return await asyncio.to_thread(LoadedSheet, file, found, options.sheet)

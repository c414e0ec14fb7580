"""A CSV or TSV as a `Table`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import cast

from batchbus_strategies.tables.csv_reader import CsvReader
from batchbus_strategies.tables.options import Compression, Format, TableFacts, TableOptions
from batchbus_strategies.tables.source import Source
from batchbus_strategies.tables.table import Row, Table, with_width, without_errors_column

__all__ = ["CsvTable", "csv_delimiter"]


def csv_delimiter(options: TableOptions, found: Format) -> str | None:
    """The delimiter that a CSV or TSV is known to have; None if it has to be found out."""
    return options.delimiter or ("\t" if found == "tsv" else None)


class CsvTable(Table):
    """Rows of a CSV, each with the physical line that it starts on."""

    def __init__(self, source: Source, reader: CsvReader) -> None:
        self._source = source
        self._reader = reader
        self._compression: Compression | None = source.compression
        self._columns = without_errors_column(reader.header)
        columns = self._columns
        self.header = reader.header if columns is None else [reader.header[index] for index in columns]

    @classmethod
    async def open(cls, source: Source, options: TableOptions, found: Format, known: Collection[str]) -> CsvTable:
        """`found` is `csv` or `tsv`. Raises `NotATable`, `TableError`."""
        delimiter = csv_delimiter(options, found)
        encoding = options.encoding
        return cls(source, await CsvReader.open(source.chunks(), encoding=encoding, delimiter=delimiter, known=known))

    @property
    def facts(self) -> TableFacts:
        reader = self._reader
        return TableFacts(
            format="tsv" if reader.delimiter == "\t" else "csv",
            compression=self._compression,
            header_line=reader.header_line,
            encoding=reader.encoding,
            delimiter=reader.delimiter,
        )

    @property
    def progress(self) -> float:
        return self._source.progress

    async def batches(self, size: int = 1000) -> AsyncIterator[list[Row]]:
        width = len(self._reader.header)
        columns = self._columns
        async for batch in self._reader.batches(size):
            # The reader's cells are all text. Nothing else keeps these lists, so that absent cells may be added.
            rows = cast("list[Row]", batch)
            for index, (line, cells) in enumerate(rows):
                if len(cells) != width:
                    rows[index] = line, with_width(cells, width)
            if columns is not None:
                rows = [(line, [cells[index] for index in columns] + cells[width:]) for line, cells in rows]
                rows = [row for row in rows if any(row[1])]
            if rows:
                yield rows

"""Table files: read in every format by one interface, with the place of every cell, and written so that a spreadsheet
runs nothing."""

from batchbus_strategies.tables.csv_reader import CsvReader, CsvRow
from batchbus_strategies.tables.csv_writer import csv_cell, csv_line
from batchbus_strategies.tables.decoding import TEXT_ENCODINGS, text_encoding
from batchbus_strategies.tables.errors import CellTooLong, NotATable, TableError, shortened
from batchbus_strategies.tables.formulas import guarded, unguarded
from batchbus_strategies.tables.limits import MAX_CELL, MAX_COLUMNS, MAX_ROWS
from batchbus_strategies.tables.opening import check_options, open_table
from batchbus_strategies.tables.options import ERRORS_COLUMN, Compression, Format, TableFacts, TableOptions, Unit
from batchbus_strategies.tables.reduced import write_reduced
from batchbus_strategies.tables.table import Row, Table, is_header_again
from batchbus_strategies.tables.table_writer import (
    TableWriter,
    WriteOptions,
    WrittenCell,
    file_ending,
    write_table,
    written_format,
)

__all__ = [
    "ERRORS_COLUMN",
    "MAX_CELL",
    "MAX_COLUMNS",
    "MAX_ROWS",
    "TEXT_ENCODINGS",
    "CellTooLong",
    "Compression",
    "CsvReader",
    "CsvRow",
    "Format",
    "NotATable",
    "Row",
    "Table",
    "TableError",
    "TableFacts",
    "TableOptions",
    "TableWriter",
    "Unit",
    "WriteOptions",
    "WrittenCell",
    "check_options",
    "csv_cell",
    "csv_line",
    "file_ending",
    "guarded",
    "is_header_again",
    "open_table",
    "shortened",
    "text_encoding",
    "unguarded",
    "write_reduced",
    "write_table",
    "written_format",
]

"""Tables in files: read in chunks with the place of every cell, written so that a spreadsheet runs nothing."""

from batchbus_strategies.tables.csv_reader import MAX_CELL, CsvReader, Row
from batchbus_strategies.tables.csv_writer import csv_cell, csv_line
from batchbus_strategies.tables.errors import NotATable, TableError, shortened
from batchbus_strategies.tables.formulas import guarded, unguarded

__all__ = [
    "MAX_CELL",
    "CsvReader",
    "NotATable",
    "Row",
    "TableError",
    "csv_cell",
    "csv_line",
    "guarded",
    "shortened",
    "unguarded",
]

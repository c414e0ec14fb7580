"""Tables in files: read in chunks with the place of every cell, written so that a spreadsheet runs nothing."""

from batchbus_strategies.tables.csv_reader import MAX_CELL, MAX_COLUMNS, CsvReader, Row
from batchbus_strategies.tables.csv_writer import csv_cell, csv_line
from batchbus_strategies.tables.decoding import TEXT_ENCODINGS, text_encoding
from batchbus_strategies.tables.errors import NotATable, TableError, shortened
from batchbus_strategies.tables.formulas import guarded, unguarded

__all__ = [
    "MAX_CELL",
    "MAX_COLUMNS",
    "TEXT_ENCODINGS",
    "CsvReader",
    "NotATable",
    "Row",
    "TableError",
    "csv_cell",
    "csv_line",
    "guarded",
    "shortened",
    "text_encoding",
    "unguarded",
]

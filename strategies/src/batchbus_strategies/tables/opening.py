"""Opening a table file of any format: the content says what it is, and the key's ending is a hint where it does not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Final, get_args

from batchbus_strategies.strategy import Files
from batchbus_strategies.tables.csv_table import CsvTable
from batchbus_strategies.tables.decoding import beginning_as_text, text_encoding
from batchbus_strategies.tables.dialect import refuse_other_formats
from batchbus_strategies.tables.errors import NotATable, shortened
from batchbus_strategies.tables.json_table import JsonTable
from batchbus_strategies.tables.options import Format, TableOptions
from batchbus_strategies.tables.sheet_table import SheetTable
from batchbus_strategies.tables.source import GZIP, ZIP, Source, open_source, workbook_format
from batchbus_strategies.tables.table import Table

__all__ = ["check_options", "find_format", "open_table"]

_TSV: Final = (".tsv", ".tab")
_NOTHING_GIVEN: Final = TableOptions()
_PACKED: Final = (".gz", ".gzip", ".zip")


async def open_table(
    files: Files, key: str, options: TableOptions = _NOTHING_GIVEN, *, known: Collection[str] = ()
) -> Table:
    """Open the table file of that key, and read its header.

    `known` are column names to expect: they help to tell the delimiters of a CSV apart.
    Raises `FileMissing`, `NotATable` for a file that is no table or an option that does not fit, and `TableError` where
    the beginning of the file is broken.
    """
    check_options(options)
    source, start = await open_source(files, key)
    match await find_format(source, start, key, options):
        case "csv" | "tsv" as found:
            return await CsvTable.open(source, options, found, known)
        case "json" | "jsonl" as found:
            return await JsonTable.open(source, options, found)
        case "xlsx" | "ods" as found:
            return await SheetTable.open(source, options, found)


def check_options(options: TableOptions) -> None:
    """Raise `NotATable` for an option that no file could fit. The message says what there is."""
    if options.format is not None and options.format not in get_args(Format):
        there_are = ", ".join(get_args(Format))
        raise NotATable(f"There is no format {shortened(options.format)!r}; there are {there_are}")
    if options.encoding is not None:
        text_encoding(options.encoding)
    if options.delimiter is not None and (len(options.delimiter) != 1 or options.delimiter in '"\r\n\0\ufeff'):
        raise NotATable(
            f"The delimiter {shortened(options.delimiter)!r} cannot be used; it is one character, such as a comma, "
            "a semicolon, a tab or a vertical bar, and neither a quote nor a line end"
        )


async def find_format(source: Source, start: bytes, key: str, options: TableOptions) -> Format:
    """The format of content that starts so, inflated. Raises `NotATable` for what is none, or not the one asked for."""
    if start.startswith(ZIP):
        found = await workbook_format(source, start)
        if options.format not in (None, found):
            raise NotATable(f"The file is no {options.format} but {found.upper()}")
        return found
    if start.startswith(GZIP):
        raise NotATable("The file is compressed twice; upload it compressed once, or not at all")
    if options.format in ("xlsx", "ods"):
        raise NotATable(f"The file is no {options.format.upper()}: its content does not begin as one does")
    text = beginning_as_text(start, options.encoding)
    if options.format is not None:
        refuse_other_formats(start, "")
        return options.format
    match text.lstrip()[:1]:
        case "[":
            return "json"
        case "{":
            return "jsonl"
    return "tsv" if _hints_at_tabs(key) and "\t" in text.lstrip().partition("\n")[0] else "csv"


def _hints_at_tabs(key: str) -> bool:
    endings = [ending.lower() for ending in PurePosixPath(key).suffixes]
    if endings and endings[-1] in _PACKED:
        endings.pop()
    return bool(endings) and endings[-1] in _TSV

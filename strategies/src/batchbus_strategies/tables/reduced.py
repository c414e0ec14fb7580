"""A file that was uploaded, reduced to some of its rows, with a column that says what is wrong with them.

Everything else is as it came: raw cells, encoding, delimiter, line ends, header and compression. So the rows can be
corrected in the program that the file came from, and uploaded again; `_errors` is left out when the file is read. It is
the first column, so that rows with too few or too many cells stay as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from batchbus_strategies.strategy import Files, FileWriter
from batchbus_strategies.tables.csv_reader import CsvReader
from batchbus_strategies.tables.csv_table import csv_delimiter
from batchbus_strategies.tables.decoding import Decoder, is_unicode
from batchbus_strategies.tables.errors import TableError
from batchbus_strategies.tables.formulas import guarded, unguarded
from batchbus_strategies.tables.json_objects import ArrayElements, LineObjects, Value
from batchbus_strategies.tables.json_table import objects_of
from batchbus_strategies.tables.loaded_sheet import LoadedSheet
from batchbus_strategies.tables.opening import check_options, find_format
from batchbus_strategies.tables.options import ERRORS_COLUMN, TableOptions
from batchbus_strategies.tables.sheet_table import load_sheet
from batchbus_strategies.tables.source import Source, file_name, open_source
from batchbus_strategies.tables.table import without_errors_column
from batchbus_strategies.tables.table_writer import TextFile, WriteOptions, write_table

__all__ = ["write_reduced"]

_BATCH: Final = 1000
"""Rows of a sheet that are taken over at a time."""
_MAX_ERRORS: Final = 32_000
"""Characters of `_errors` that are kept, which every spreadsheet can hold."""
_NOT_IN_SHEET_NAMES: Final = re.compile(r"[\[\]:*?/\\]")
_MAX_SHEET_NAME: Final = 31
"""Characters that the name of a sheet of an XLSX may have."""


async def write_reduced(
    files: Files,
    key: str,
    options: TableOptions,
    keep: Mapping[int, str],
    target_key: str,
    *,
    known: Collection[str] = (),
    sheet_as_csv: bool = False,
) -> int:
    """Write those rows of a table file which `keep` names, in the order of the file, and return how many there were.

    `keep` has the text for `_errors` by the line of the row, as `Table.batches` counts; `known` is what `open_table` was
    given. The format stays, but for ODS, which is written as XLSX; of a workbook, the sheet that was read stays, with its
    values as text, and as much of its name as an XLSX may have.

    Raises what `open_table` and `Table.batches` raise, up to the last row that is kept; and `CellTooLong` for a cell of a
    workbook that no XLSX may have. `sheet_as_csv` writes CSV for a workbook instead, in UTF-8 with a mark, which holds it.
    """
    check_options(options)
    source, start = await open_source(files, key)
    found = await find_format(source, start, key, options)
    written = WriteOptions(format=found, compression=source.compression, name=file_name(key), guard=False)
    async with files.write(target_key) as file:
        match found:
            case "csv" | "tsv":
                return await _reduce_csv(source, file, options, written, keep, known)
            case "json" | "jsonl":
                return await _reduce_json(source, file, options, written, keep)
            case "xlsx" | "ods":
                if sheet_as_csv:
                    written = replace(written, format="csv", delimiter=",", preamble="\ufeff", guard=True)
                return await _reduce_sheet(file, await load_sheet(source, options, found), written, keep)


async def _reduce_csv(
    source: Source,
    file: FileWriter,
    options: TableOptions,
    written: WriteOptions,
    keep: Mapping[int, str],
    known: Collection[str],
) -> int:
    encoding = await _encoding_of(source, options)
    reader = await CsvReader.open(
        source.chunks(), encoding=encoding, delimiter=csv_delimiter(options, written.format), known=known, raw=True
    )
    written = replace(
        written,
        encoding=encoding,
        delimiter=reader.delimiter,
        line_end=reader.line_end,
        preamble=("\ufeff" if reader.has_mark else "")
        + (f"{reader.announced}{reader.line_end}" if reader.announced else ""),
    )
    column = _Column([name.strip() for name in reader.header], keep, encoding)
    async with write_table(file, column.header(reader.header), written) as table:
        async for batch in reader.batches():
            await table.write([column.row(line, cells) for line, cells in batch if line in keep])
            if column.is_complete:
                break
    return column.done


async def _reduce_sheet(file: FileWriter, sheet: LoadedSheet, written: WriteOptions, keep: Mapping[int, str]) -> int:
    column = _Column([name.strip() for name in sheet.header], keep, "utf-8")
    async with write_table(file, column.header(sheet.header), replace(written, sheet=_sheet_name(sheet.name))) as table:
        rows = (column.row(line, cells) for line, cells in sheet.rows() if line in keep)
        if written.guard:  # which puts the apostrophes on anew
            rows = ([unguarded(cell) for cell in cells] for cells in rows)
        while batch := await asyncio.to_thread(lambda: list(islice(rows, _BATCH))):
            await table.write(batch)
            if column.is_complete:
                break
    return column.done


async def _reduce_json(
    source: Source, file: FileWriter, options: TableOptions, written: WriteOptions, keep: Mapping[int, str]
) -> int:
    decoder = Decoder(options.encoding)
    encoding = await _encoding_of(source, options)
    array = written.format == "json"
    text = TextFile(file, replace(written, encoding=encoding))
    objects = ArrayElements(_Number) if array else LineObjects(_Number)
    separator, between, end = ("[\n", ",\n", "\n]\n") if array else ("", "\n", "\n")
    done = 0
    async for found, error in objects_of(source, decoder, objects):
        for each in found:
            if each.number in keep:
                pairs = [pair for pair in each.pairs if pair[0].strip() != ERRORS_COLUMN]
                mark = "\ufeff" if decoder.has_mark and not done else ""
                whole = _json(
                    ((ERRORS_COLUMN, keep[each.number][:_MAX_ERRORS]), *pairs), escaped=not encoding.startswith("utf")
                )
                await text.write(f"{mark}{separator}{whole}")
                separator = between
                done += 1
        if done == len(keep):
            break
        if error:
            raise error
    await text.write(end if done else "[]\n" if array else "")
    await text.finish()
    return done


def _sheet_name(name: str) -> str:
    """That of an ODS may be longer than one of an XLSX, and have other characters in it."""
    return _NOT_IN_SHEET_NAMES.sub("_", name)[:_MAX_SHEET_NAME].strip("'") or "Sheet1"


class _Column:
    """Puts `_errors` in front of rows, in place of a column of that name that they may have."""

    def __init__(self, names: Sequence[str], keep: Mapping[int, str], encoding: str) -> None:
        self._kept = without_errors_column(names)
        self._width = len(names)
        self._keep = keep
        self._encoding = encoding
        self.done = 0
        """Rows so far."""

    @property
    def is_complete(self) -> bool:
        return self.done == len(self._keep)

    def header(self, names: list[str]) -> list[str]:
        return [ERRORS_COLUMN, *self._others(names)]

    def row(self, line: int, cells: list[str]) -> list[str]:
        self.done += 1
        errors = guarded(self._keep[line][:_MAX_ERRORS])
        return [errors.encode(self._encoding, "replace").decode(self._encoding), *self._others(cells)]

    def _others(self, cells: list[str]) -> list[str]:
        if self._kept is None:
            return cells
        return [cells[index] for index in self._kept if index < len(cells)] + cells[self._width :]


class _Number(str):
    """The text of a number in JSON, which is not put into quotes."""

    __slots__ = ()


def _json(value: Value, *, escaped: bool) -> str:
    match value:
        case _Number():
            return str(value)
        case None | bool():
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=escaped or not is_unicode(value))
        case list():
            return "[" + ",".join([_json(item, escaped=escaped) for item in value]) + "]"
        case _:
            members = [f"{_json(key, escaped=escaped)}:{_json(item, escaped=escaped)}" for key, item in value]
            return "{" + ",".join(members) + "}"


async def _encoding_of(source: Source, options: TableOptions) -> str:
    """The encoding that a reader finds out in the course of the file, which has to be known before anything is written."""
    decoder = Decoder(options.encoding)
    if options.encoding is None:
        with contextlib.suppress(TableError):  # whoever reads the rows comes to it, unless those kept are before it
            async for _ in decoder.texts(source.chunks()):
                pass
    return decoder.encoding

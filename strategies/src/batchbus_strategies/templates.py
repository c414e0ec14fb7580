"""Templates of imports: a file with the header and an example, as CSV, or as a workbook that explains its columns."""

from __future__ import annotations

from collections.abc import Sequence

from batchbus_strategies.strategy import ColumnHelp
from batchbus_strategies.tables import WriteOptions, csv_cell, csv_line, write_table

__all__ = ["csv_template", "xlsx_template"]


def csv_template(columns: Sequence[ColumnHelp]) -> bytes:
    """UTF-8, with commas."""
    header = csv_line((csv_cell(column.name) for column in columns), delimiter=",")
    return (header + csv_line((csv_cell(column.example) for column in columns), delimiter=",")).encode()


async def xlsx_template(columns: Sequence[ColumnHelp]) -> bytes:
    """A workbook: the table on its first sheet, and on its second what each column holds."""
    file = _InMemory()
    notes = [("Column", "What it holds"), *((column.name, column.says) for column in columns)]
    options = WriteOptions(format="xlsx", sheet="Template", notes=notes, notes_sheet="Columns")
    async with write_table(file, [column.name for column in columns], options) as table:
        await table.write([[column.example for column in columns]])
    return bytes(file.content)


class _InMemory:
    """A file of the file store that is none: a template has a few kilobytes."""

    def __init__(self) -> None:
        self.content = bytearray()

    async def write(self, chunk: bytes) -> None:
        self.content += chunk

    @property
    def size(self) -> int:
        return len(self.content)

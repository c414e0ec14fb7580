"""The error file: what was uploaded, reduced to the records that were not applied, to be mended and sent again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from batchbus_strategies.records.plan import PlannedError
from batchbus_strategies.tables import CellTooLong, write_reduced

if TYPE_CHECKING:
    from batchbus_strategies.records.context import RecordImportContext
    from batchbus_strategies.strategy import JobRun

__all__ = ["BadLines", "messages_by_line", "write_error_file"]


class BadLines(Mapping[int, str]):
    """What is wrong with lines of a file. It is on local disk beyond a few MB, since all of a large file may be wrong.

    The database goes away with it. Its calls block, for some microseconds each.
    """

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own. Calls come from several threads, one after the other.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            """PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096;
               CREATE TABLE bad (line INTEGER PRIMARY KEY, message TEXT NOT NULL); BEGIN"""
        )
        self._count: int | None = 0

    def add(self, messages: Mapping[int, str]) -> None:
        """A later message of a line takes the place of an earlier one."""
        if messages:
            self._database.executemany("INSERT OR REPLACE INTO bad VALUES (?, ?)", messages.items())
            self._count = None

    def __getitem__(self, line: int) -> str:
        found = self._database.execute("SELECT message FROM bad WHERE line = ?", (line,)).fetchone()
        if found is None:
            raise KeyError(line)
        return str(found[0])

    def __iter__(self) -> Iterator[int]:
        for (line,) in self._database.execute("SELECT line FROM bad ORDER BY line"):
            yield line

    def __len__(self) -> int:
        if self._count is None:
            ((self._count,),) = self._database.execute("SELECT count(*) FROM bad")
        return self._count or 0


async def write_error_file(run: JobRun[RecordImportContext], lines: Mapping[int, str]) -> str | None:
    """Returns its key; None, and no file, if there are no such lines. The words go into its column `_errors`.

    A workbook with a cell that no XLSX can hold, as an ODS may have, is answered as CSV.
    """
    if not lines:
        return None
    endings = "".join(PurePosixPath(run.context.fileKey).suffixes[-2:]) or ".csv"
    key = f"imports/{run.job_type}/errors/{run.run_number}-{run.job_id}-errors{endings.replace('.ods', '.xlsx')}"
    try:
        await write_reduced(run.files, run.context.fileKey, run.context.table, lines, key)
    except CellTooLong:
        key = f"{key.removesuffix(endings.replace('.ods', '.xlsx'))}.csv"
        await write_reduced(run.files, run.context.fileKey, run.context.table, lines, key, sheet_as_csv=True)
    return key


def messages_by_line(lines: Sequence[int], errors: Sequence[PlannedError]) -> dict[int, str]:
    """For the error file: what is wrong in each of the lines of a record, or that the record has an error elsewhere."""
    if not lines and not errors:
        return {}
    messages: dict[int, list[str]] = {line: [] for line in lines}
    for error in errors:
        column = f"{error['column']}: " if error["column"] else ""
        messages.setdefault(error["line"], []).append(f"{column}{error['message']}")
    first = errors[0]["line"] if errors else lines[0]
    return {line: "; ".join(said) or f"left out because of line {first}" for line, said in messages.items()}

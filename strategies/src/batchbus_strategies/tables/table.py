"""What every format is read as: a header, and rows of text with the place of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Final

from batchbus_strategies.tables.options import ERRORS_COLUMN, TableFacts

__all__ = ["Row", "Table", "is_header_again", "with_width", "without_errors_column"]

Row = tuple[int, list[str | None]]
"""Where the row begins, counted in `TableFacts.unit` from 1, and its cells in the order of the header.

An empty cell is `""`. A cell that is None is absent: the object of a JSON file lacks the key, or the line of a CSV ended
before the cell. A row has at least as many cells as the header has names; a row that has more of them had more in the
file, where they were not empty.
"""

_MARKS_AGAIN: Final = ("\ufeff", "ï»¿")
"""A byte order mark in the middle of a file, decoded as UTF-8 or as Windows-1252."""


class Table(ABC):
    """A table in a file. `open_table` makes it; `batches` reads it once."""

    header: list[str]
    """The names of the columns, without blanks around them and without `_errors`. Nothing else is checked: a name may be
    empty, or come twice."""

    @property
    @abstractmethod
    def facts(self) -> TableFacts:
        """What has been found out about the file so far. It is certain when all rows have been read."""

    @property
    def header_line(self) -> int:
        """Where the header is, as rows are counted."""
        return self.facts.header_line

    @property
    @abstractmethod
    def progress(self) -> float:
        """How much of the file has been read, from 0 to 1."""

    @abstractmethod
    def batches(self, size: int = 1000) -> AsyncIterator[list[Row]]:
        """The rows below the header, in the order of the file, about `size` at a time; rows without content are left out.

        Where the file stops being a table, the rows before that place are given out, and `TableError` is raised.
        """


def is_header_again(row: tuple[int, Sequence[str | None]], header: Sequence[str]) -> bool:
    """Whether a row repeats the header, as in a file glued from two, perhaps with a byte order mark in front."""
    cells = row[1]
    if not cells or not header:
        return False
    if len(cells) == len(header) > 1 and (cells[-1] or "").strip() != header[-1]:
        return False  # of a row that repeats the header, the first cell may differ from it, and never the last
    names = [(cell or "").strip() for cell in cells]
    for mark in _MARKS_AGAIN:
        if names[0].startswith(mark):
            names[0] = names[0].removeprefix(mark).strip()
            if len(names[0]) > 1 and names[0][0] == names[0][-1] == '"':  # the mark was in front of the quote
                names[0] = names[0][1:-1].replace('""', '"').strip()
    while len(names) > len(header) and not names[-1]:
        names.pop()
    return names == list(header)


def without_errors_column(header: Sequence[str]) -> list[int] | None:
    """The indexes of all columns but `_errors`; None if there is no such column."""
    if ERRORS_COLUMN not in header:
        return None
    return [index for index, name in enumerate(header) if name != ERRORS_COLUMN]


def with_width(cells: list[str | None], width: int) -> list[str | None]:
    """The cells with absent ones added up to the width, or without the empty ones beyond it."""
    if len(cells) < width:
        return cells + [None] * (width - len(cells))
    if not any(cells[width:]):
        return cells[:width]
    return cells

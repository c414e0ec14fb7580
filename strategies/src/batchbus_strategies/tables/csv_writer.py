"""Writing CSV. A cell is quoted if any common reader could trip over it, whatever the delimiter here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from batchbus_strategies.tables.formulas import guarded

__all__ = ["csv_cell", "csv_line", "quoted"]

_NEEDS_QUOTES: Final = re.compile(r'[,;"\r\n]')


def csv_cell(text: str) -> str:
    """A text as a cell: guarded against formulas, quoted if it has a line break, comma, semicolon or quote."""
    return quoted(guarded(text))


def quoted(text: str, delimiter: str = ";") -> str:
    """A text as a cell that is not guarded."""
    if _NEEDS_QUOTES.search(text) or delimiter in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_line(cells: Iterable[str], *, delimiter: str = ";", line_end: str = "\r\n") -> str:
    """A line of cells that are ready to be written, with its line end."""
    return delimiter.join(cells) + line_end

"""Finding out how a file separates its cells, and whether it is a CSV at all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from typing import Final

from batchbus_strategies.tables.errors import NotATable

__all__ = ["DELIMITERS", "refuse_other_formats", "separator_line", "sniff_delimiter"]

DELIMITERS: Final = (",", ";", "\t", "|")

_SIGNATURES: Final = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls), or one with a password"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
)
_SEPARATOR_LINE: Final = re.compile(r'"?(?i:sep)=(.)"?')


def refuse_other_formats(start: bytes, text: str) -> None:
    """Raise `NotATable` if a file that starts so is plainly something else than CSV."""
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            raise NotATable(f"The file is not a CSV but {name}; export it as CSV (UTF-8)")
    first = text.lstrip()[:1]
    if first == "<":
        raise NotATable("The file is not a CSV but HTML or XML")
    if first in ("{", "["):
        raise NotATable("The file is not a CSV but JSON")


def separator_line(line: str) -> str | None:
    """The delimiter that a first line `sep=;`, as Excel understands it, announces."""
    match = _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n"))
    return match[1] if match else None


def sniff_delimiter(line: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The delimiter that makes the most known column names out of the header, then the most columns; and those."""
    best = max(DELIMITERS, key=lambda delimiter: _score(_cells(line, delimiter), known))
    return best, _cells(line, best)


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])]


def _score(cells: list[str], known: Collection[str]) -> tuple[int, int]:
    return sum(cell in known for cell in cells), len(cells)

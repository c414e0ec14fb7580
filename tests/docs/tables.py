"""The tables of the documentation that are tests as well: each cell says what a principal may do."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

__all__ = ["table_of"]


def table_of(page: str, first: str) -> dict[str, dict[str, str]]:
    """The rows of the table whose first column is called `first`, by their first cells; each has its cells by column."""
    rows: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        cells = [_plain(cell) for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            columns = []
        elif cells[0] == first:
            columns = cells
        elif columns and not cells[0].startswith("---"):
            assert len(cells) == len(columns), f"a row of another length in {page}: {line}"
            rows[cells[0]] = dict(zip(columns[1:], cells[1:], strict=True))
    assert rows, f"{page} has no table that begins with {first}"
    return rows


def _plain(cell: str) -> str:
    """A cell that is code as a whole without the marks of that."""
    return re.sub(r"^`([^`]*)`$", r"\1", cell.strip())

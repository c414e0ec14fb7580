"""The limits of what is read. Each error that comes from one of them says the limit and its number."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BOMB_FREE",
    "BOMB_RATIO",
    "MAX_CELL",
    "MAX_COLUMNS",
    "MAX_JSON_DEPTH",
    "MAX_RECORD",
    "MAX_ROWS",
    "MAX_ROW_XML",
    "MAX_SHEET_CELLS",
    "MAX_SHEET_MEMORY",
    "MAX_SHEET_XML",
]

MAX_CELL: Final = 1024 * 1024
"""Characters in one cell."""
MAX_COLUMNS: Final = 2000
"""Columns that a file may have."""
MAX_RECORD: Final = 4 * MAX_CELL
"""Characters in one row of a text format."""
MAX_ROWS: Final = 1_048_576
"""Rows of a sheet: what XLSX and ODS themselves allow."""
MAX_ROW_XML: Final = 64 * 1024 * 1024
"""Bytes of XML in one row of a sheet, or in one of its texts."""
MAX_SHEET_XML: Final = 1024 * 1024 * 1024
"""Bytes of XML, inflated, that a workbook may have for the sheet that is read and for its texts."""
MAX_SHEET_CELLS: Final = 12_000_000
"""Cells in the rectangle that a sheet fills, empty ones included: each takes memory while the sheet is read."""
MAX_JSON_DEPTH: Final = 62
"""Levels of nesting in JSON."""
MAX_SHEET_MEMORY: Final = 1024 * 1024 * 1024
"""Bytes that loading a sheet may take, as they are estimated from its cells and texts."""
BOMB_RATIO: Final = 200
"""How many times larger than itself a compressed file may be when it is inflated."""
BOMB_FREE: Final = 64 * 1024 * 1024
"""Bytes up to which a file may be inflated whatever its ratio."""

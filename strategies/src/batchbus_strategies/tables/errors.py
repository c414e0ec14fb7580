"""What can be wrong with a file as a table, apart from what its cells mean."""

from __future__ import annotations

from typing import Final

from batchbus_strategies.strategy import StrategyError
from batchbus_strategies.tables.options import Unit

__all__ = ["CellTooLong", "NotATable", "TableError", "shortened"]

_SHOWN: Final = 80


def shortened(value: str, limit: int = _SHOWN) -> str:
    """A cell as it can be shown in one line: control characters as escapes, and not too long."""
    text = value[: limit + 1]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class TableError(StrategyError):
    """The file stops being a table at this place. `line` counts `unit`s from 1: lines, rows of a sheet, or elements."""

    def __init__(
        self, reason: str, *, line: int, column: str | None = None, value: str | None = None, unit: Unit = "line"
    ) -> None:
        place = f"{unit.capitalize()} {line}" + (f', column "{shortened(column)}"' if column else "")
        self.without_values = f"{place}: {reason}"
        super().__init__(self.without_values + (f" (value: {shortened(value)})" if value else ""))
        self.reason = reason
        self.line = line
        self.column = column
        self.value = value
        self.unit = unit


class NotATable(StrategyError):
    """The file is no table at all, or none that can be read with the options given."""

    public = True


class CellTooLong(NotATable):
    """A cell has more characters than the format that is to be written can hold."""

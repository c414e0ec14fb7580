"""What can be wrong with a row, a record or a header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchbus_strategies.strategy import StrategyError

__all__ = ["CellError", "HeaderRefused", "RecordsRefused"]

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class CellError:
    """A cell, or a row where `column` is None, that cannot be used."""

    line: int
    column: str | None
    code: str
    message: str
    value: str | None = None
    path: str | None = None
    """Of the field that the cell is of, from the record on, as `variants.sku`; `column` is what the file calls it. None if
    it is not about one field."""


class HeaderRefused(StrategyError):
    """The header leaves a doubt about what the file means."""

    public = True

    def __init__(self, errors: Sequence[CellError]) -> None:
        shown = "; ".join(error.message for error in errors[:_SHOWN])
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        super().__init__(f"The file cannot be imported: {shown}{more}")
        self.errors = tuple(errors)


class RecordsRefused(StrategyError):
    """Some records cannot be imported, and so nothing was; or more would change than is allowed."""

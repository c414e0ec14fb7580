"""What a cell says. Each function takes the text of a cell that is not empty, without the spaces around it, and raises
`ValueError` with a message for people."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from batchbus_strategies.catalog.columns import STATUSES
from batchbus_strategies.records.cells import boolean, integer
from batchbus_strategies.records.cells import join_values as join_tags
from batchbus_strategies.records.cells import split_values as split_tags

__all__ = ["boolean", "integer", "join_tags", "number", "split_tags", "status"]

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_LARGEST: Final = 2**53 - 1
"""What every reader of the catalogue, JavaScript included, holds exactly."""


def number(cell: str) -> int | float:
    """A measure: whole numbers stay whole."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError("not a number")
    value = Decimal(cell)
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return int(value) if value == value.to_integral_value() else float(value)


def status(cell: str) -> str:
    word = cell.lower()
    if word not in STATUSES:
        raise ValueError(f"not one of {', '.join(STATUSES)}")
    return word

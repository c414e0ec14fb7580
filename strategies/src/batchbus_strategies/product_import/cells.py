"""What a cell says. Each function takes the text of a cell that is not empty, without the spaces around it, and raises
`ValueError` with a message for people."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from batchbus_strategies.catalog.columns import STATUSES

__all__ = ["boolean", "integer", "join_tags", "number", "split_tags", "status"]

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,16}(?:\.0*)?", re.ASCII)
_LARGEST: Final = 2**53 - 1
"""What every reader of the catalogue, JavaScript included, holds exactly."""
_TAG: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|\Z)')


def number(cell: str) -> int | float:
    """A measure: whole numbers stay whole."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError("not a number")
    value = Decimal(cell)
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return int(value) if value == value.to_integral_value() else float(value)


def integer(cell: str) -> int:
    if not _INTEGER.fullmatch(cell):
        raise ValueError("not a whole number")
    value = int(cell.partition(".")[0])
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return value


def boolean(cell: str) -> bool:
    word = cell.lower()
    if word not in ("true", "false"):
        raise ValueError("neither TRUE nor FALSE")
    return word == "true"


def status(cell: str) -> str:
    word = cell.lower()
    if word not in STATUSES:
        raise ValueError(f"not one of {', '.join(STATUSES)}")
    return word


def split_tags(cell: str) -> list[str]:
    """`red, blue` is two tags; `"red, blue"` in quotes of its own is one. Each tag counts once."""
    if '"' not in cell:
        tags = (part.strip() for part in cell.split(","))
        return list(dict.fromkeys(tag for tag in tags if tag))
    found: list[str] = []
    position = 0
    while position < len(cell) and (match := _TAG.match(cell, position)):
        quoted, plain = match.groups()
        found.append(quoted.replace('""', '"') if quoted is not None else plain.strip())
        position = match.end()
    return list(dict.fromkeys(tag for tag in found if tag))


def join_tags(tags: list[str]) -> str:
    """The cell that `split_tags` makes these tags of."""
    return ",".join(
        '"' + tag.replace('"', '""') + '"' if tag[:1] == '"' or "," in tag or tag != tag.strip() else tag
        for tag in tags
    )

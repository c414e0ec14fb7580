"""What the text of a cell says for each type that a field may have, and how a value is written into a cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from bson.decimal128 import Decimal128

from batchbus_strategies.catalog.money import format_amount, minor_digits, parse_amount
from batchbus_strategies.records.record import Money
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = [
    "CellType",
    "boolean",
    "cell_type",
    "choice_type",
    "integer",
    "join_values",
    "money_type",
    "number",
    "parse_time",
    "split_values",
]

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,16}(?:\.0*)?", re.ASCII)
_LARGEST: Final = 2**53 - 1
"""What every reader of the catalogue, JavaScript included, holds exactly."""
_VALUE: Final = re.compile(r'\s*+(?:"((?:[^"]|"")*+)"\s*+|([^,]*+))(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class CellType:
    """How values of a type stand in cells."""

    code: str
    """What the code of an error ends with, as in `bad_number`."""
    says: str
    """What such a cell holds, in words: for templates."""
    parse: Callable[[str], Any]
    """The value of a cell that is not empty, without the blanks around it. Raises `ValueError`, with a message for people."""
    write: Callable[[FieldValue], str]
    """The cell of a value as it is stored, which is not None."""
    example: str


def cell_type(kind: type[object]) -> CellType | None:
    """None for a type that has no form in a cell."""
    if issubclass(kind, Enum):
        return choice_type([str(each.value) for each in kind])
    return _TYPES.get(kind)


def choice_type(choices: list[str]) -> CellType:
    """One of some words, in any case."""
    lowered = {choice.lower(): choice for choice in choices}

    def parse(cell: str) -> str:
        if (choice := lowered.get(cell.lower())) is None:
            raise ValueError(f"not one of {', '.join(choices)}")
        return choice

    return CellType("choice", f"one of {', '.join(choices)}", parse, str, choices[0])


def money_type(currency: str) -> CellType:
    """An amount in minor units; the cell has it in major ones."""
    code = currency.lower()
    says = f"an amount in {code.upper()}, such as {format_amount(1250, code)}"
    return CellType(
        "amount",
        says,
        lambda cell: parse_amount(cell, code),
        lambda amount: format_amount(amount, code),
        format_amount(1250, code),
    )


def split_values(cell: str) -> list[str]:
    """`red, blue` is two values; `"red, blue"` in quotes of its own is one. Each value counts once."""
    if '"' not in cell:
        values = (part.strip() for part in cell.split(","))
        return list(dict.fromkeys(value for value in values if value))
    found: list[str] = []
    position = 0
    while position < len(cell) and (match := _VALUE.match(cell, position)):
        quoted, plain = match.groups()
        found.append(quoted.replace('""', '"') if quoted is not None else plain.strip())
        position = match.end()
    return list(dict.fromkeys(value for value in found if value))


def join_values(values: list[str]) -> str:
    """The cell that `split_values` makes these values of."""
    return ",".join(
        '"' + value.replace('"', '""') + '"' if value[:1] == '"' or "," in value or value != value.strip() else value
        for value in values
    )


def number(cell: str) -> int | float:
    """Whole numbers stay whole."""
    value = _decimal(cell)
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal(cell: str) -> Decimal:
    if not _NUMBER.fullmatch(cell):
        raise ValueError("not a number: write it like 1234.5, without thousands separators")
    value = Decimal(cell)
    if abs(value) > _LARGEST:
        raise ValueError("the number is too large")
    return value


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


def _day(cell: str) -> datetime:
    try:
        day = date.fromisoformat(cell.partition("T")[0])
    except ValueError:
        raise ValueError("not a date: write it like 2026-01-31") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def parse_time(cell: str) -> datetime:
    """ISO 8601; without an offset it is UTC. Raises `ValueError`."""
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("not a time: write it like 2026-01-31T13:45:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)  # what MongoDB keeps


def _money(cell: str) -> Document:
    amount, _, currency = cell.rpartition(" ")
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
        raise ValueError("not an amount with its currency: write it like 12.50 EUR")
    code = currency.lower()
    return {"amount": parse_amount(amount.strip(), code), "currency_code": code}


def _write_number(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _write_time(value: datetime) -> str:
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return str(moment.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def _write_money(value: Fields) -> str:
    code = str(value["currency_code"])
    major = format_amount(value["amount"], code)
    whole, point, fraction = major.partition(".")
    digits = minor_digits(code)
    return (
        f"{whole}{'.' if digits else ''}{fraction.ljust(digits, '0')} {code.upper()}"
        if digits or point
        else f"{major} {code.upper()}"
    )


_TYPES: Final[dict[type[Any], CellType]] = {
    str: CellType("text", "text", str, str, "text"),
    int: CellType("integer", "a whole number", integer, _write_number, "10"),
    float: CellType("number", "a number, such as 12.5", number, _write_number, "12.5"),
    Decimal: CellType("number", "a number, such as 12.50", lambda cell: Decimal128(_decimal(cell)), str, "12.50"),
    bool: CellType("boolean", "TRUE or FALSE", boolean, lambda value: "TRUE" if value else "FALSE", "TRUE"),
    date: CellType("date", "a date, such as 2026-01-31", _day, lambda value: _write_time(value)[:10], "2026-01-31"),
    datetime: CellType("time", "a time, such as 2026-01-31T13:45:00Z", parse_time, _write_time, "2026-01-31T13:45:00Z"),
    Money: CellType("amount", "an amount with its currency, such as 12.50 EUR", _money, _write_money, "12.50 EUR"),
    list: CellType("list", "values, separated by commas", split_values, join_values, "one,two"),
}

"""Money: an amount is a whole number in the currency's minor unit; a CSV has it in the major unit.

The digits after the point are those of ISO 4217; a currency that is not listed has two.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from bson.decimal128 import Decimal128

__all__ = ["MAX_AMOUNT", "format_amount", "minor_digits", "parse_amount", "whole_amount"]

_DIGITS: Final = {
    **dict.fromkeys(
        [
            "bif",
            "clp",
            "djf",
            "gnf",
            "isk",
            "jpy",
            "kmf",
            "krw",
            "pyg",
            "rwf",
            "ugx",
            "uyi",
            "vnd",
            "vuv",
            "xaf",
            "xof",
            "xpf",
        ],
        0,
    ),
    **dict.fromkeys(["bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"], 3),
    **dict.fromkeys(["clf", "uyw"], 4),
}
MAX_AMOUNT: Final = 2**53 - 1
"""In the minor unit: what every reader of the catalogue, JavaScript included, holds exactly."""

_AMOUNT: Final = re.compile(r"\d{1,20}(?:\.\d{0,40})?|\.\d{1,40}", re.ASCII)
_ONE: Final = Decimal(1)
_SHORT: Final = 9
"""Digits before the point with which no amount is too large."""


def minor_digits(currency: str) -> int:
    """Digits after the point. `currency` is an ISO 4217 code in lower case."""
    return _DIGITS.get(currency, 2)


def whole_amount(value: object) -> int:
    """An amount as it is stored, whatever kind of number it is. Raises `ValueError` for what is no whole number."""
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(number, int | float | Decimal) and not isinstance(number, bool) and number == number // 1:
        return int(number)
    raise ValueError(f"{value!r} is no amount: it has to be a whole number of the currency's minor unit")


def parse_amount(text: str, currency: str) -> int:
    """`"10.5"` in eur is 1050. More digits than the currency has are rounded, half up.

    Raises `ValueError`, with a message for people, for anything but a plain number from zero to `MAX_AMOUNT`.
    """
    digits = minor_digits(currency)
    whole, _, fraction = text.partition(".")
    if len(whole) <= _SHORT and len(fraction) <= digits and (both := whole + fraction).isdecimal() and both.isascii():
        return int(both.ljust(len(whole) + digits, "0"))
    if not _AMOUNT.fullmatch(text):
        raise ValueError("not an amount: write it like 1234.50, without currency signs and thousands separators")
    amount = int(Decimal(text).scaleb(digits).quantize(_ONE, ROUND_HALF_UP))
    if amount > MAX_AMOUNT:
        raise ValueError("the amount is too large")
    return amount


def format_amount(amount: int | float | Decimal | Decimal128, currency: str) -> str:
    """1050 in eur is `"10.5"`: as short as possible, as in a Medusa export.

    Services in other languages write whole numbers into the catalogue as doubles and decimals, too: those count as the
    whole numbers that they are.
    """
    amount = whole_amount(amount)
    digits = minor_digits(currency)
    if not digits:
        return str(amount)
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    major, minor = divmod(amount, 10**digits)
    fraction = f"{minor:0{digits}d}".rstrip("0")
    return f"{sign}{major}.{fraction}" if fraction else f"{sign}{major}"

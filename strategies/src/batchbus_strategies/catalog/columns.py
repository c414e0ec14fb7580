"""The names of the columns that prices have in files: of products, and of price lists."""

from __future__ import annotations

import re
from typing import Final

from batchbus_strategies.catalog.currencies import CURRENCIES

__all__ = ["price_column", "price_header"]

_CURRENCY_PRICE: Final = re.compile(r"Price ([A-Z]{3})")
_REGION_PRICE: Final = re.compile(r"Price (.+?)(?: \[([A-Z]{3})\])?", re.DOTALL)


def price_column(header: str) -> tuple[str | None, str | None] | None:
    """Region name and currency (in lower case) of a price column; None for any other column.

    `Price EUR` is `(None, "eur")`, `Price Denmark [DKK]` is `("Denmark", "dkk")`, `Price Denmark` is `("Denmark", None)`.
    Three capitals that are no currency of ISO 4217 are the name of a region: `Price USA` is `("USA", None)`.
    """
    if (match := _CURRENCY_PRICE.fullmatch(header)) and match[1].lower() in CURRENCIES:
        return None, match[1].lower()
    if match := _REGION_PRICE.fullmatch(header):
        return match[1], match[2] and match[2].lower()
    return None


def price_header(region_name: str | None, currency: str) -> str:
    """The name of a price column."""
    return f"Price {region_name} [{currency.upper()}]" if region_name is not None else f"Price {currency.upper()}"

"""The columns of a product CSV, as data: import, export and template are all made from this table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from batchbus_strategies.catalog.currencies import CURRENCIES

__all__ = [
    "CATEGORY",
    "COLUMNS",
    "IMAGE",
    "NUMBERED",
    "OPTION",
    "SALES_CHANNEL",
    "STATUSES",
    "Column",
    "Kind",
    "NumberedColumn",
    "numbered",
    "price_column",
    "price_header",
]

STATUSES: Final = ("draft", "proposed", "published", "rejected")


class Kind(Enum):
    """What the cells of a column hold."""

    TEXT = auto()
    """Any text, also one that looks like a number."""
    NUMBER = auto()
    INTEGER = auto()
    BOOLEAN = auto()
    STATUS = auto()
    TAGS = auto()
    """Values separated by commas."""
    IDENTITY = auto()
    """Says which record the row is about."""
    REFERENCE = auto()
    """Names another record."""
    EXPORTED = auto()
    """Written by the export, accepted and ignored by the import."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a file has once. `field` is the name of the field in the product or variant document."""

    name: str
    of: Literal["product", "variant"]
    field: str
    kind: Kind
    example: str = ""
    keeps: bool = False
    """An empty cell leaves the field as it is, since it must have a value; in other columns it clears the field."""


@dataclass(frozen=True, slots=True)
class NumberedColumn:
    """Columns that a file has any number of times: `<prefix> <n> <part>`, n from 1."""

    prefix: str
    parts: tuple[str, ...]
    example: tuple[str, ...]


def _measures(of: Literal["product", "variant"]) -> tuple[Column, ...]:
    owner = of.capitalize()
    return (
        Column(f"{owner} Weight", of, "weight", Kind.NUMBER),
        Column(f"{owner} Length", of, "length", Kind.NUMBER),
        Column(f"{owner} Width", of, "width", Kind.NUMBER),
        Column(f"{owner} Height", of, "height", Kind.NUMBER),
        Column(f"{owner} HS Code", of, "hs_code", Kind.TEXT),
        Column(f"{owner} Origin Country", of, "origin_country", Kind.TEXT),
        Column(f"{owner} MID Code", of, "mid_code", Kind.TEXT),
        Column(f"{owner} Material", of, "material", Kind.TEXT),
    )


COLUMNS: Final = (
    Column("Product Id", "product", "_id", Kind.IDENTITY),
    Column("Product Handle", "product", "handle", Kind.IDENTITY, "oak-stool"),
    Column("Product Title", "product", "title", Kind.TEXT, "Oak stool", keeps=True),
    Column("Product Subtitle", "product", "subtitle", Kind.TEXT),
    Column("Product Description", "product", "description", Kind.TEXT, "Solid oak, oiled."),
    Column("Product Status", "product", "status", Kind.STATUS, "draft", keeps=True),
    Column("Product Thumbnail", "product", "thumbnail", Kind.TEXT),
    *_measures("product"),
    Column("Product Collection Title", "product", "collection.title", Kind.REFERENCE),
    Column("Product Collection Handle", "product", "collection.handle", Kind.REFERENCE),
    Column("Product Type", "product", "type.value", Kind.REFERENCE, "Furniture"),
    Column("Product Tags", "product", "tags", Kind.TAGS, "wood,seat"),
    Column("Product Discountable", "product", "discountable", Kind.BOOLEAN, "TRUE", keeps=True),
    Column("Product External Id", "product", "external_id", Kind.TEXT),
    Column("Product Profile Name", "product", "profile.name", Kind.EXPORTED),
    Column("Product Profile Type", "product", "profile.type", Kind.EXPORTED),
    Column("Variant Id", "variant", "id", Kind.IDENTITY),
    Column("Variant Title", "variant", "title", Kind.TEXT, "Natural", keeps=True),
    Column("Variant SKU", "variant", "sku", Kind.TEXT, "STOOL-OAK-1"),
    Column("Variant Barcode", "variant", "barcode", Kind.TEXT),
    Column("Variant Inventory Quantity", "variant", "inventory_quantity", Kind.INTEGER, "10", keeps=True),
    Column("Variant Allow Backorder", "variant", "allow_backorder", Kind.BOOLEAN, "FALSE", keeps=True),
    Column("Variant Manage Inventory", "variant", "manage_inventory", Kind.BOOLEAN, "TRUE", keeps=True),
    *_measures("variant"),
)
"""In the order of an export. Price columns and the numbered ones follow."""

OPTION: Final = NumberedColumn("Option", ("Name", "Value"), ("Colour", "Natural"))
IMAGE: Final = NumberedColumn("Image", ("Url",), ("https://example.com/oak-stool.png",))
SALES_CHANNEL: Final = NumberedColumn("Sales Channel", ("Name", "Id", "Description"), ("", "", ""))
CATEGORY: Final = NumberedColumn("Product Category", ("Handle", "Name", "Description"), ("", "", ""))
NUMBERED: Final = (OPTION, IMAGE, SALES_CHANNEL, CATEGORY)
"""In the order of an export."""

_NUMBERED_NAME: Final = re.compile(
    "|".join(f"({column.prefix}) ([1-9][0-9]{{0,3}}) ({'|'.join(column.parts)})" for column in NUMBERED)
)
_CURRENCY_PRICE: Final = re.compile(r"Price ([A-Z]{3})")
_REGION_PRICE: Final = re.compile(r"Price (.+?)(?: \[([A-Z]{3})\])?", re.DOTALL)


def numbered(header: str) -> tuple[str, int, str] | None:
    """`Option 2 Name` is `("Option", 2, "Name")`; None for any other column."""
    match = _NUMBERED_NAME.fullmatch(header)
    if not match:
        return None
    prefix, number, part = (group for group in match.groups() if group is not None)
    return prefix, int(number), part


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

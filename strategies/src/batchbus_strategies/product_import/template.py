"""The columns of a product import in words, with an example of each: of these, its templates are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchbus_strategies.catalog.columns import COLUMNS, NUMBERED, STATUSES, Column, Kind
from batchbus_strategies.strategy import ColumnHelp

__all__ = ["explained_columns"]

_KINDS: Final = {
    Kind.TEXT: "text",
    Kind.NUMBER: "a number, such as 12.5",
    Kind.INTEGER: "a whole number",
    Kind.BOOLEAN: "TRUE or FALSE",
    Kind.STATUS: f"one of {', '.join(STATUSES)}",
    Kind.TAGS: "values, separated by commas",
}
_SPECIAL: Final = {
    "Product Id": "the id of an existing product, which is then updated; empty for a new one",
    "Product Handle": "what the product is known by; every row needs it, and rows with the same one are variants of one product",
    "Product Collection Title": "the title of a collection that exists; it is looked at where the handle is empty",
    "Product Collection Handle": "the handle of a collection that exists",
    "Product Type": "a product type, which is created if there is none of that name",
    "Variant Id": "the id of an existing variant, which is then updated; empty for a new one",
    "Variant SKU": "text; no two variants may have the same",
    "Variant Barcode": "text; no two variants may have the same",
}
_NUMBERED: Final = {
    "Option": "what the variants of the product differ in, and the variant's value; as many as there are, numbered from 1",
    "Image": "where an image is; as many as there are, numbered from 1",
    "Sales Channel": "a sales channel that exists, by its id or else its name; one that does not is skipped with a warning",
    "Product Category": "a category that exists, by its handle; its name and description are not looked at",
}


def explained_columns() -> Iterator[ColumnHelp]:
    """In the order of the template. Of numbered columns there are the first, and of prices one in a currency."""
    for column in COLUMNS:
        if column.kind is not Kind.EXPORTED:
            yield ColumnHelp(column.name, _SPECIAL.get(column.name) or _says(column), column.example)
    price = "a price in this currency, such as 49.5; a column “Price Europe [EUR]” has the one of the region Europe"
    yield ColumnHelp("Price EUR", price, "49.5")
    for numbered in NUMBERED:
        for part, example in zip(numbered.parts, numbered.example, strict=True):
            yield ColumnHelp(f"{numbered.prefix} 1 {part}", _NUMBERED[numbered.prefix], example)


def _says(column: Column) -> str:
    empty = "leaves it as it is" if column.keeps else "clears it"
    return f"{_KINDS[column.kind]}; an empty cell {empty}"

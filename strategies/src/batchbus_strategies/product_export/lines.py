"""The lines of an export.

How many columns there are is known only when the last product has been read. So every product is first made into an
`Entry`, with its cells ready to be written, and the entries into lines once the shape is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, TypedDict

from pydantic_core import from_json, to_json

from batchbus_strategies.catalog.columns import CATEGORY, COLUMNS, IMAGE, OPTION, SALES_CHANNEL, Kind, NumberedColumn
from batchbus_strategies.catalog.documents import Document
from batchbus_strategies.catalog.money import format_amount
from batchbus_strategies.catalog.references import References
from batchbus_strategies.product_export.shape import PriceKey, Shape, exported_prices
from batchbus_strategies.records.cells import join_values
from batchbus_strategies.tables import csv_cell, csv_line

__all__ = ["Entry", "decode_entries", "encode_entry", "entry_of", "header_line", "lines_of"]

_DELIMITER = ";"


class Variant(TypedDict):
    """One row."""

    cells: str
    """Those of the columns that every export has, as a piece of the line."""
    prices: dict[str, str]
    """By region id (empty for a currency price) and currency, with a bar between."""
    options: list[str]
    """The values, one for each of the product's options."""


class Entry(TypedDict):
    """One product; every text is a cell as it is written."""

    cells: str
    variants: list[Variant]
    options: list[str]
    images: list[str]
    sales_channels: list[list[str]]
    categories: list[list[str]]


def entry_of(product: Document, references: References) -> Entry:
    channels = [references.sales_channels.get(channel["id"]) for channel in product.get("sales_channels") or ()]
    categories = [references.categories.get(category["id"]) for category in product.get("categories") or ()]
    options: Sequence[Document] = product.get("options") or ()
    return {
        "cells": _fixed_cells(_flattened(product, references), "product"),
        "variants": [_variant(variant, options, references) for variant in product.get("variants") or ()],
        "options": [csv_cell(option["title"]) for option in options],
        "images": [csv_cell(image["url"]) for image in product.get("images") or () if image.get("url")],
        "sales_channels": [
            [csv_cell(channel["name"]), csv_cell(channel["id"]), csv_cell(channel["description"] or "")]
            for channel in channels
            if channel
        ],
        "categories": [
            [csv_cell(category["handle"]), csv_cell(category["name"]), csv_cell(category["description"] or "")]
            for category in categories
            if category
        ],
    }


def header_line(shape: Shape, references: References) -> str:
    return csv_line(map(csv_cell, shape.header(references)), delimiter=_DELIMITER)


def lines_of(entry: Entry, shape: Shape, prices: Sequence[PriceKey]) -> Iterable[str]:
    """One line for each variant, and one for a product without any. `prices` are the shape's price columns."""
    images = _padded([[url] for url in entry["images"]], shape.images, IMAGE)
    channels = _padded(entry["sales_channels"], shape.sales_channels, SALES_CHANNEL)
    categories = _padded(entry["categories"], shape.categories, CATEGORY)
    for variant in entry["variants"] or [_no_variant()]:
        options = zip_longest(entry["options"], variant["options"], fillvalue="")
        yield csv_line(
            (
                entry["cells"],
                variant["cells"],
                *(variant["prices"].get(_joined(key), "") for key in prices),
                *_padded([list(option) for option in options], shape.options, OPTION),
                *images,
                *channels,
                *categories,
            ),
            delimiter=_DELIMITER,
        )


def encode_entry(entry: Entry) -> bytes:
    return to_json(entry) + b"\n"


def decode_entries(lines: Iterable[bytes]) -> list[Entry]:
    return [from_json(line) for line in lines]


def _variant(variant: Document, options: Sequence[Document], references: References) -> Variant:
    values = {value["option_id"]: value["value"] for value in variant.get("options") or ()}
    return {
        "cells": _fixed_cells(variant, "variant"),
        "prices": {
            _joined(key): format_amount(amount, key[1])
            for key, amount in exported_prices(variant.get("prices") or (), references)
        },
        "options": [csv_cell(values.get(option["id"]) or "") for option in options],
    }


def _no_variant() -> Variant:
    return {"cells": _fixed_cells({}, "variant"), "prices": {}, "options": []}


def _flattened(product: Document, references: References) -> Document:
    """With the fields of other records as the columns name them."""
    collection = references.collections.get(
        product.get("collection_id") or (product.get("collection") or {}).get("id") or ""
    )
    kind = product.get("type") or references.types.get(product.get("type_id") or "")
    if kind and kind["id"] in references.deleted_types:
        kind = None
    profile = product.get("profile") or {}
    return {
        **product,
        "collection.title": collection and collection["title"],
        "collection.handle": collection and collection["handle"],
        "type.value": kind and kind["value"],
        "profile.name": profile.get("name"),
        "profile.type": profile.get("type"),
        "tags": [tag["value"] for tag in product.get("tags") or () if tag["value"]],
    }


_FIELDS = {of: [(c.field, c.kind) for c in COLUMNS if c.of == of] for of in ("product", "variant")}


def _fixed_cells(record: Document, of: str) -> str:
    return _DELIMITER.join([_cell(record.get(field), kind) for field, kind in _FIELDS[of]])


def _cell(value: Any, kind: Kind) -> str:
    if value is None or value == "":
        return ""
    if kind is Kind.TAGS:
        return csv_cell(join_values(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind in (Kind.NUMBER, Kind.INTEGER) and isinstance(value, int | float):
        # Without the formula guard: a number is none, and "-5" is to stay a number in a spreadsheet.
        return str(value) if math.isfinite(value) else ""
    return csv_cell(str(value))


def _padded(groups: Sequence[list[str]], count: int, column: NumberedColumn) -> list[str]:
    """The cells of all groups, and empty ones up to `count` groups."""
    cells = [cell for group in groups for cell in group]
    return cells + [""] * (count * len(column.parts) - len(cells))


def _joined(key: PriceKey) -> str:
    return f"{key[0] or ''}|{key[1]}"

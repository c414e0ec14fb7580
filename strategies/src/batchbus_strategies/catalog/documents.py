"""The documents of the catalogue, as they are in MongoDB.

A product is one document with everything that belongs to it inside: `product_import.record` declares it. Fields without a value are null, with two
exceptions that the unique indexes need: `skus` and `barcodes`, which repeat those of the variants, are absent rather
than empty.

`revision` is the catalogue's optimistic lock: each change of a product gives it a revision that it never had before,
and an update filters on the revision that it was worked out from.
"""

from __future__ import annotations

from typing import TypedDict

from batchbus_strategies.strategy import Document

__all__ = [
    "Category",
    "Collection",
    "Document",
    "Price",
    "ProductType",
    "Region",
    "SalesChannel",
]


class Price(TypedDict, total=False):
    """What a variant costs in a region, or anywhere in a currency (`region_id` null)."""

    id: str
    currency_code: str
    """ISO 4217, in lower case."""
    amount: int
    """In the currency's minor unit."""
    region_id: str | None
    min_quantity: int | None
    max_quantity: int | None
    price_list_id: str | None


class ProductType(TypedDict):
    id: str
    value: str


class Collection(TypedDict):
    id: str
    title: str
    handle: str | None


class SalesChannel(TypedDict):
    id: str
    name: str
    description: str | None


class Category(TypedDict):
    id: str
    handle: str
    name: str
    description: str | None


class Region(TypedDict):
    id: str
    name: str
    currency_code: str

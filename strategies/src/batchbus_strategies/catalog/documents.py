"""The documents of the catalogue, as they are in MongoDB.

A product is one document with everything that belongs to it inside. Fields without a value are null, with two
exceptions that the unique indexes need: `skus` and `barcodes`, which repeat those of the variants, are absent rather
than empty.

`revision` is the catalogue's optimistic lock: each change of a product gives it a revision that it never had before,
and an update filters on the revision that it was worked out from.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from batchbus_strategies.strategy import Document

__all__ = [
    "Category",
    "Collection",
    "Document",
    "Image",
    "Option",
    "OptionValue",
    "Price",
    "Product",
    "ProductType",
    "Profile",
    "Region",
    "SalesChannel",
    "Tag",
    "Variant",
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


class Option(TypedDict):
    """What the variants of a product differ in."""

    id: str
    title: str


class OptionValue(TypedDict):
    """A variant's value of one of its product's options."""

    id: str
    option_id: str
    value: str


class Image(TypedDict):
    id: str
    url: str


class Tag(TypedDict):
    id: str
    value: str


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


class Profile(TypedDict):
    """The shipping profile. It is exported, and never changed by an import."""

    name: str
    type: str


class Region(TypedDict):
    id: str
    name: str
    currency_code: str


class Variant(TypedDict, total=False):
    """One variant, inside its product. `sku` and `barcode` are unique in the catalogue."""

    id: str
    title: str
    sku: str | None
    barcode: str | None
    ean: str | None
    upc: str | None
    variant_rank: int
    inventory_quantity: int
    allow_backorder: bool
    manage_inventory: bool
    weight: float | None
    length: float | None
    width: float | None
    height: float | None
    hs_code: str | None
    origin_country: str | None
    mid_code: str | None
    material: str | None
    metadata: Document | None
    options: list[OptionValue]
    prices: list[Price]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class Product(TypedDict, total=False):
    """One document of `products`."""

    _id: str
    handle: str
    """Unique in the catalogue."""
    title: str
    subtitle: str | None
    description: str | None
    is_giftcard: bool
    status: str
    """`draft`, `proposed`, `published` or `rejected`."""
    thumbnail: str | None
    weight: float | None
    length: float | None
    width: float | None
    height: float | None
    hs_code: str | None
    origin_country: str | None
    mid_code: str | None
    material: str | None
    collection_id: str | None
    collection: Collection | None
    type_id: str | None
    type: ProductType | None
    discountable: bool
    external_id: str | None
    metadata: Document | None
    profile: Profile | None
    options: list[Option]
    images: list[Image]
    tags: list[Tag]
    sales_channels: list[SalesChannel]
    categories: list[Category]
    variants: list[Variant]
    skus: list[str]
    barcodes: list[str]
    revision: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

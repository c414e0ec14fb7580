"""A product with its variants, declared: the columns of its files, what they mean, and what a new one has besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from batchbus_strategies.catalog.ids import Prefix
from batchbus_strategies.catalog.prices import PriceColumns
from batchbus_strategies.records import (
    Column,
    Combination,
    Copied,
    Family,
    Items,
    Key,
    NameList,
    Part,
    Record,
    Rows,
    Shown,
)
from batchbus_strategies.strategy import Document

__all__ = ["VARIANTS", "Product", "Status", "Variant"]

Status = Literal["draft", "proposed", "published", "rejected"]


class Price(Part):
    """What a variant costs in a region, or anywhere in a currency (`region_id` null)."""

    id: str
    currency_code: str
    amount: int
    region_id: str | None = None
    min_quantity: int | None = None
    max_quantity: int | None = None
    price_list_id: str | None = None


class Option(Part):
    id: str
    title: str


class OptionValue(Part):
    id: str
    option_id: str
    value: str


class Image(Part):
    id: str
    url: str


class Tag(Part):
    id: str
    value: str


class Type(Part):
    id: str
    value: str


class Collection(Part):
    id: str
    title: str = ""
    handle: str | None = None


class SalesChannel(Part):
    id: str
    name: str
    description: str | None = None


class Category(Part):
    id: str
    handle: str
    name: str = ""
    description: str | None = None


class Profile(Part):
    """The shipping profile. It is exported, and never changed by an import."""

    name: Annotated[str, Shown("Product Profile Name", compared=False)] = "Default Shipping Profile"
    type: Annotated[str, Shown("Product Profile Type", compared=False)] = "default"


VARIANTS: Final = Rows("Variant Id", Prefix.VARIANT, found_by_id=True, on_every_row=True, first_row_only=True)
"""What stands beside the variants of a product."""
_OPTIONS: Final = NameList("options", "title", "option_id", "value", Prefix.OPTION, Prefix.OPTION_VALUE)


class Variant(Part):
    """One variant, inside its product: a row of a file."""

    title: Annotated[str, Column("Variant Title"), Field(examples=["Natural"])]
    sku: Annotated[str | None, Column("Variant SKU", unique=True, index="skus"), Field(examples=["STOOL-OAK-1"])] = None
    barcode: Annotated[str | None, Column("Variant Barcode", unique=True, index="barcodes"), Field(examples=[""])] = (
        None
    )
    inventory_quantity: Annotated[int, Column("Variant Inventory Quantity")] = 0
    allow_backorder: Annotated[bool, Column("Variant Allow Backorder"), Field(examples=["FALSE"])] = False
    manage_inventory: Annotated[bool, Column("Variant Manage Inventory")] = True
    weight: Annotated[float | None, Column("Variant Weight"), Field(examples=[""])] = None
    length: Annotated[float | None, Column("Variant Length"), Field(examples=[""])] = None
    width: Annotated[float | None, Column("Variant Width"), Field(examples=[""])] = None
    height: Annotated[float | None, Column("Variant Height"), Field(examples=[""])] = None
    hs_code: Annotated[str | None, Column("Variant HS Code"), Field(examples=[""])] = None
    origin_country: Annotated[str | None, Column("Variant Origin Country"), Field(examples=[""])] = None
    mid_code: Annotated[str | None, Column("Variant MID Code"), Field(examples=[""])] = None
    material: Annotated[str | None, Column("Variant Material"), Field(examples=[""])] = None
    prices: Annotated[list[Price], Family(PriceColumns(), id_prefix=Prefix.PRICE)]
    options: Annotated[
        list[OptionValue], Combination("Option <n> Name", "Option <n> Value", _OPTIONS, grows=False, needed=False)
    ]
    ean: str | None = None
    upc: str | None = None
    variant_rank: int = 0
    metadata: Document | None = None


class Product(
    Record,
    collection="products",
    id_prefix=Prefix.PRODUCT,
    id_column="Product Id",
    found_by_key=False,
    noun="product",
):
    """One document of `products`, with everything that belongs to it inside.

    Fields without a value are null, with two exceptions that the unique indexes need: `skus` and `barcodes`, which repeat
    those of the variants, are absent rather than empty. `revision` is the optimistic lock: each change of a product gives
    it one that it never had before, and an update filters on the one that it was worked out from.
    """

    handle: Annotated[str, Key("Product Handle"), Field(examples=["oak-stool"])]
    title: Annotated[str, Column("Product Title"), Field(examples=["Oak stool"])]
    subtitle: Annotated[str | None, Column("Product Subtitle"), Field(examples=[""])] = None
    description: Annotated[str | None, Column("Product Description"), Field(examples=["Solid oak, oiled."])] = None
    status: Annotated[Status, Column("Product Status")] = "draft"
    thumbnail: Annotated[str | None, Column("Product Thumbnail"), Field(examples=[""])] = None
    weight: Annotated[float | None, Column("Product Weight"), Field(examples=[""])] = None
    length: Annotated[float | None, Column("Product Length"), Field(examples=[""])] = None
    width: Annotated[float | None, Column("Product Width"), Field(examples=[""])] = None
    height: Annotated[float | None, Column("Product Height"), Field(examples=[""])] = None
    hs_code: Annotated[str | None, Column("Product HS Code"), Field(examples=[""])] = None
    origin_country: Annotated[str | None, Column("Product Origin Country"), Field(examples=[""])] = None
    mid_code: Annotated[str | None, Column("Product MID Code"), Field(examples=[""])] = None
    material: Annotated[str | None, Column("Product Material"), Field(examples=[""])] = None
    # `Record.collection` is the name of the collection that products are in.
    collection_: Annotated[
        Collection | None,
        Copied(
            "product_collections",
            by={"handle": "Product Collection Handle", "title": "Product Collection Title"},
            id_field="collection_id",
            written={"title": "Product Collection Title", "handle": "Product Collection Handle"},
        ),
        Field(alias="collection"),
    ] = None
    type: Annotated[
        Type | None,
        Copied("product_types", {"value": "Product Type"}, id_field="type_id", missing="create", prefix=Prefix.TYPE),
        Field(examples=["Furniture"]),
    ] = None
    tags: Annotated[list[Tag], Items("Product Tags", "value", Prefix.TAG), Field(examples=["wood,seat"])]
    discountable: Annotated[bool, Column("Product Discountable")] = True
    external_id: Annotated[str | None, Column("Product External Id"), Field(examples=[""])] = None
    profile: Profile = Profile()
    variants: Annotated[Sequence[Variant], VARIANTS]
    images: Annotated[
        list[Image],
        Items("Image <n> Url", "url", Prefix.IMAGE),
        Field(examples=["https://example.com/oak-stool.png"]),
    ]
    sales_channels: Annotated[
        list[SalesChannel],
        Copied(
            "sales_channels",
            {"id": "Sales Channel <n> Id", "name": "Sales Channel <n> Name"},
            missing="skip",
            written={
                "name": "Sales Channel <n> Name",
                "id": "Sales Channel <n> Id",
                "description": "Sales Channel <n> Description",
            },
        ),
    ]
    categories: Annotated[
        list[Category],
        Copied(
            "product_categories",
            {"handle": "Product Category <n> Handle"},
            written={
                "handle": "Product Category <n> Handle",
                "name": "Product Category <n> Name",
                "description": "Product Category <n> Description",
            },
        ),
    ]
    is_giftcard: bool = False
    collection_id: str | None = None
    type_id: str | None = None
    metadata: Document | None = None

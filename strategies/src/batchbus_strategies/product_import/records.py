"""New records for the catalogue, made from what rows say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from batchbus_strategies.catalog.columns import COLUMNS
from batchbus_strategies.catalog.documents import (
    Category,
    Collection,
    Image,
    Option,
    OptionValue,
    Price,
    Product,
    ProductType,
    SalesChannel,
    Tag,
    Variant,
)
from batchbus_strategies.catalog.ids import Prefix, derived_id
from batchbus_strategies.catalog.references import References
from batchbus_strategies.product_import.header import PriceCell
from batchbus_strategies.product_import.rows import ProductRow, VariantRow

__all__ = ["KEPT_FIELDS", "Records"]

KEPT_FIELDS = frozenset(column.field for column in COLUMNS if column.keeps)
"""Fields that always have a value, so that an empty cell leaves them as they are."""


@dataclass(frozen=True, slots=True)
class Records:
    """Makes records. `ids` gives a new ULID for each."""

    prices_of: Sequence[PriceCell]
    """What the amounts of a `VariantRow` are prices of."""
    references: References
    ids: Iterator[str]

    def product(self, product_id: str, handle: str, row: ProductRow, options: list[Option]) -> Product:
        """Without its variants."""
        product: Product = {
            "_id": product_id,
            "handle": handle,
            "title": "",
            "subtitle": None,
            "description": None,
            "is_giftcard": False,
            "status": "draft",
            "thumbnail": None,
            "weight": None,
            "length": None,
            "width": None,
            "height": None,
            "hs_code": None,
            "origin_country": None,
            "mid_code": None,
            "material": None,
            "collection_id": None,
            "collection": None,
            "type_id": None,
            "type": None,
            "discountable": True,
            "external_id": None,
            "metadata": None,
            "profile": {"name": "Default Shipping Profile", "type": "default"},
            "options": options,
            "images": self.images(row.get("images", ())),
            "tags": self.tags(row.get("tags", ())),
            "sales_channels": self.sales_channels(row.get("sales_channels", ())),
            "categories": self.categories(row.get("categories", ())),
            "variants": [],
        }
        product.update(cast(Product, _values(row["fields"])))
        if collection := row.get("collection"):
            product["collection_id"] = collection["id"]
            product["collection"] = collection
        if (type_value := row.get("type")) is not None:
            product["type"] = kind = self.type(type_value)
            product["type_id"] = kind["id"]
        if product["thumbnail"] is None and product["images"]:
            product["thumbnail"] = product["images"][0]["url"]
        return product

    def variant(self, row: VariantRow, rank: int, option_ids: Mapping[str, str]) -> Variant:
        """`option_ids` by title."""
        ids = self.ids
        variant: Variant = {
            "id": Prefix.VARIANT + next(ids),
            "title": "",
            "sku": None,
            "barcode": None,
            "ean": None,
            "upc": None,
            "variant_rank": rank,
            "inventory_quantity": 0,
            "allow_backorder": False,
            "manage_inventory": True,
            "weight": None,
            "length": None,
            "width": None,
            "height": None,
            "hs_code": None,
            "origin_country": None,
            "mid_code": None,
            "material": None,
            "metadata": None,
            "options": [
                self.option_value(option_ids[title], value) for title, value in row["options"] if value is not None
            ],
            "prices": [
                self.price(price, amount)
                for price, amount in zip(self.prices_of, row["prices"], strict=True)
                if amount is not None
            ],
        }
        variant.update(cast(Variant, _values(row["fields"])))
        return variant

    def option(self, title: str) -> Option:
        return {"id": Prefix.OPTION + next(self.ids), "title": title}

    def option_value(self, option_id: str, value: str) -> OptionValue:
        return {"id": Prefix.OPTION_VALUE + next(self.ids), "option_id": option_id, "value": value}

    def price(self, cell: PriceCell, amount: int) -> Price:
        return {
            "id": Prefix.PRICE + next(self.ids),
            "currency_code": cell.currency,
            "amount": amount,
            "region_id": cell.region_id,
            "min_quantity": None,
            "max_quantity": None,
            "price_list_id": None,
        }

    def type(self, value: str) -> ProductType:
        """The one that exists, or the one that will."""
        return self.references.find_type(value) or {"id": self._new_type_id(value), "value": value}

    def _new_type_id(self, value: str) -> str:
        """Derived from the value, so that two imports make one type of it; but not that of one that was deleted."""
        type_id, times = derived_id(Prefix.TYPE, value), 1
        while type_id in self.references.deleted_types:
            times += 1
            type_id = derived_id(Prefix.TYPE, f"{value}\0{times}")
        return type_id

    def images(self, urls: Iterable[str]) -> list[Image]:
        return [{"id": derived_id(Prefix.IMAGE, url), "url": url} for url in urls]

    def tags(self, values: Iterable[str]) -> list[Tag]:
        return [{"id": derived_id(Prefix.TAG, value), "value": value} for value in values]

    def sales_channels(self, ids: Iterable[str]) -> list[SalesChannel]:
        return [self.references.sales_channels[channel] for channel in ids]

    def categories(self, ids: Iterable[str]) -> list[Category]:
        return [self.references.categories[category] for category in ids]

    def collection(self, collection_id: str) -> Collection | None:
        return self.references.collections.get(collection_id)


def _values(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields for which the file has a value; the others keep their defaults."""
    return {field: value for field, value in fields.items() if value is not None}

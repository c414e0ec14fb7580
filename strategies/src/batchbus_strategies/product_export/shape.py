"""The shape of an export: how many columns of each kind it takes to hold all of its products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from batchbus_strategies.catalog.columns import (
    CATEGORY,
    COLUMNS,
    IMAGE,
    OPTION,
    SALES_CHANNEL,
    price_column,
    price_header,
)
from batchbus_strategies.catalog.documents import Document, Price
from batchbus_strategies.catalog.references import References
from batchbus_strategies.strategy import Json

__all__ = ["PriceKey", "Shape", "exported_prices"]

PriceKey = tuple[str | None, str]
"""Region id, or None, and currency in lower case: a price column."""


def exported_prices(prices: Sequence[Price], references: References) -> Iterator[tuple[PriceKey, int]]:
    """The prices that have a column: not those of price lists or for quantities, nor of regions that are gone."""
    seen: set[PriceKey] = set()
    for price in prices:
        region_id, currency = price.get("region_id"), price["currency_code"].lower()
        region = references.regions.get(region_id) if region_id is not None else None
        if region_id is not None and (region is None or region["currency_code"] != currency):
            continue
        if price.get("price_list_id") or price.get("min_quantity") is not None or price.get("max_quantity") is not None:
            continue
        if (key := (region_id, currency)) not in seen:
            seen.add(key)
            yield key, price["amount"]


@dataclass(slots=True)
class Shape:
    """The most that any product so far has of each."""

    prices: set[PriceKey] = field(default_factory=set)
    options: int = 0
    images: int = 0
    sales_channels: int = 0
    categories: int = 0

    def fit(self, product: Document, references: References) -> None:
        """Widen it so that this product fits."""
        self.options = max(self.options, len(product.get("options") or ()))
        self.images = max(self.images, sum(bool(image.get("url")) for image in product.get("images") or ()))
        channels = product.get("sales_channels") or ()
        self.sales_channels = max(
            self.sales_channels, sum(channel["id"] in references.sales_channels for channel in channels)
        )
        categories = product.get("categories") or ()
        self.categories = max(self.categories, sum(category["id"] in references.categories for category in categories))
        for variant in product.get("variants") or ():
            self.prices.update(key for key, _ in exported_prices(variant.get("prices") or (), references))

    def price_columns(self, references: References) -> list[tuple[PriceKey, str]]:
        """Each with its header, by currency; for one currency first the price for all regions."""

        def order(key: PriceKey) -> tuple[str, str, str]:
            region_id, currency = key
            return (currency, references.regions[region_id]["name"], region_id) if region_id else (currency, "", "")

        known = (key for key in self.prices if key[0] is None or key[0] in references.regions)
        return [(key, _price_header(key, references)) for key in sorted(known, key=order)]

    def header(self, references: References) -> list[str]:
        """All column names."""
        numbered = (
            (OPTION, self.options),
            (IMAGE, self.images),
            (SALES_CHANNEL, self.sales_channels),
            (CATEGORY, self.categories),
        )
        return [
            *(column.name for column in COLUMNS),
            *(header for _, header in self.price_columns(references)),
            *(
                f"{column.prefix} {n} {part}"
                for column, count in numbered
                for n in range(1, count + 1)
                for part in column.parts
            ),
        ]

    def as_context(self, references: References) -> dict[str, Json]:
        """As it is shown in the job's context."""
        prices: list[Json] = []
        for (region_id, currency), _ in self.price_columns(references):
            region: Json = None
            if region_id is not None:
                found = references.regions[region_id]
                region = {"id": found["id"], "name": found["name"], "currency_code": found["currency_code"]}
            prices.append({"region": region, "currency_code": currency})
        return {
            "prices": prices,
            "dynamicOptionColumnCount": self.options,
            "dynamicImageColumnCount": self.images,
            "dynamicSalesChannelsColumnCount": self.sales_channels,
            "dynamicProductCategoriesColumnCount": self.categories,
        }

    def to_state(self) -> Json:
        """As it is kept in a checkpoint."""
        prices: list[Json] = [list(key) for key in self.prices]
        return [prices, self.options, self.images, self.sales_channels, self.categories]

    @classmethod
    def from_state(cls, state: Json) -> Shape:
        assert isinstance(state, list)
        prices, *counts = state
        assert isinstance(prices, list)
        return cls({(key[0], key[1]) for key in prices}, *counts)  # type: ignore[index, arg-type, misc]  # see to_state


def _price_header(key: PriceKey, references: References) -> str:
    """The region by its name if that leads an import back to it, else by its id."""
    region_id, currency = key
    if region_id is None:
        return price_header(None, currency)
    header = price_header(references.regions[region_id]["name"], currency)
    named = price_column(header)
    try:
        found = references.find_region(named[0] or "", currency)["id"] if named else None
    except LookupError:
        found = None
    return header if found == region_id else price_header(region_id, currency)

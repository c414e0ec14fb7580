"""The shape of an export as clients of Medusa know it: how many columns of each kind it has, in the job's context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from batchbus_strategies.catalog.prices import PriceColumns, identity_of, parts_of
from batchbus_strategies.catalog.regions import Regions
from batchbus_strategies.records.shape import COMBINATION, Shape
from batchbus_strategies.strategy import Fields, Json

__all__ = ["as_context", "no_columns", "of_context"]

_PRICES: Final = "variants.prices"
_COUNTS: Final = {
    COMBINATION: "dynamicOptionColumnCount",
    "images": "dynamicImageColumnCount",
    "sales_channels": "dynamicSalesChannelsColumnCount",
    "categories": "dynamicProductCategoriesColumnCount",
}


def no_columns() -> Shape:
    """The one of an export without products."""
    return Shape(dict.fromkeys(_COUNTS, 0))


def as_context(shape: Shape, families: Fields) -> dict[str, Json]:
    """As it is shown. `families`: what `load_families` has given."""
    regions: Regions = families[_PRICES]
    prices: list[Json] = []
    for identity, _ in PriceColumns().headers(shape.names.get(_PRICES, ()), regions):
        region_id, currency = parts_of(identity)
        region: Json = None
        if region_id is not None:
            found = regions.by_id[region_id]
            region = {"id": found["id"], "name": found["name"], "currency_code": found["currency_code"]}
        prices.append({"region": region, "currency_code": currency})
    return {"prices": prices, **{name: shape.numbers.get(path, 0) for path, name in _COUNTS.items()}}


def of_context(context: BaseModel) -> Shape:
    """The shape that a context shows; without columns of what it shows in another form."""
    shown = (context.model_extra or {}).get("shape")
    if not isinstance(shown, Mapping):
        return no_columns()
    numbers = {path: count for path, name in _COUNTS.items() if isinstance(count := shown.get(name), int)}
    prices = {
        identity_of(region["id"] if (region := price["region"]) else None, price["currency_code"])
        for price in shown["prices"]
    }
    return Shape({**no_columns().numbers, **numbers}, {_PRICES: prices})

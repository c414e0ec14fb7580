"""The small collections that products refer to: regions, collections, types, sales channels and categories.

They are read whole, since even a large shop has few of them compared with products. What is deleted does not count.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchbus_strategies.catalog.documents import Category, Collection, ProductType, Region, SalesChannel
from batchbus_strategies.catalog.living import living
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.catalog.documents import Document
    from batchbus_strategies.strategy import Catalog

__all__ = ["Ambiguous", "References", "Unknown", "load_references", "load_regions"]


class Unknown(LookupError):
    """There is no record of that name. The message is for people."""


class Ambiguous(LookupError):
    """There are several records of that name. The message is for people."""


@dataclass(slots=True)
class References:
    """Every record that a product can refer to, by id."""

    regions: dict[str, Region] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    types: dict[str, ProductType] = field(default_factory=dict)
    deleted_types: frozenset[str] = frozenset()
    """Ids of product types that are deleted: a product may bear one of them still."""
    sales_channels: dict[str, SalesChannel] = field(default_factory=dict)
    categories: dict[str, Category] = field(default_factory=dict)

    def find_region(self, name: str, currency: str | None = None, *, hint: bool = True) -> Region:
        """The region of exactly this name, else of this name in another case, else of this id.

        Several of one name are told apart by `currency` (lower case). Raises `Unknown`, with the nearest name unless
        `hint` is False, since it takes its time to find one; `Ambiguous`.
        """
        exact = [region for region in self.regions.values() if region["name"] == name]
        alike = exact or [region for region in self.regions.values() if region["name"].lower() == name.lower()]
        if len(alike) > 1 and currency is not None:
            alike = [region for region in alike if region["currency_code"] == currency] or alike
        if len(alike) == 1:
            return alike[0]
        if name in self.regions:
            return self.regions[name]
        if alike:
            raise Ambiguous(f"{len(alike)} regions are named {name}")
        names = [region["name"] for region in self.regions.values()]
        near = difflib.get_close_matches(name[:100], names, n=1) if hint else []
        raise Unknown(f"there is no region named {shortened(name)}" + (f"; did you mean {near[0]}?" if near else ""))


async def load_regions(catalog: Catalog) -> References:
    """The regions alone."""
    return References(
        regions={
            found["_id"]: Region(id=found["_id"], name=found["name"], currency_code=found["currency_code"].lower())
            for found in living(await _all(catalog, "regions"))
        }
    )


async def load_references(catalog: Catalog) -> References:
    """All that are not deleted, with the fields that exports need."""
    types = await _all(catalog, "product_types")
    return References(
        regions=(await load_regions(catalog)).regions,
        collections={
            found["_id"]: Collection(id=found["_id"], title=found.get("title") or "", handle=found.get("handle"))
            for found in living(await _all(catalog, "product_collections"))
        },
        types={found["_id"]: ProductType(id=found["_id"], value=found["value"]) for found in living(types)},
        deleted_types=frozenset(found["_id"] for found in types if found.get("deleted_at") is not None),
        sales_channels={
            found["_id"]: SalesChannel(id=found["_id"], name=found["name"], description=found.get("description"))
            for found in living(await _all(catalog, "sales_channels"))
        },
        categories={
            found["_id"]: Category(
                id=found["_id"],
                handle=found["handle"],
                name=found.get("name") or "",
                description=found.get("description"),
            )
            for found in living(await _all(catalog, "product_categories"))
        },
    )


async def _all(catalog: Catalog, collection: str) -> list[Document]:
    wanted = {"name": 1, "title": 1, "handle": 1, "value": 1, "description": 1, "currency_code": 1, "deleted_at": 1}
    found = await catalog[collection].find({}, wanted).to_list(None)
    return sorted(found, key=lambda document: str(document["_id"]))

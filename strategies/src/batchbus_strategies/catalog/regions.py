"""The regions of a catalogue, which prices are for. What is deleted does not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from batchbus_strategies.catalog.living import LIVING

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["Ambiguous", "Region", "Regions", "load_regions"]


class Region(TypedDict):
    id: str
    name: str
    currency_code: str
    """ISO 4217, in lower case."""


class Ambiguous(LookupError):
    """There are several regions of that name. The message is for people."""


@dataclass(slots=True)
class Regions:
    """All of them."""

    by_id: dict[str, Region]

    def find(self, name: str, currency: str | None = None) -> Region | None:
        """The region of exactly this name, else of this name in another case, else of this id.

        Several of one name are told apart by `currency` (lower case). Raises `Ambiguous`.
        """
        exact = [region for region in self.by_id.values() if region["name"] == name]
        alike = exact or [region for region in self.by_id.values() if region["name"].lower() == name.lower()]
        if len(alike) > 1 and currency is not None:
            alike = [region for region in alike if region["currency_code"] == currency] or alike
        if len(alike) == 1:
            return alike[0]
        if alike and name not in self.by_id:
            raise Ambiguous(f"{len(alike)} regions are named {name}")
        return self.by_id.get(name)


async def load_regions(catalog: Catalog) -> Regions:
    """They are read whole, since even a large shop has few of them."""
    found = await catalog["regions"].find(dict(LIVING), {"name": 1, "currency_code": 1}).to_list(None)
    return Regions(
        {
            each["_id"]: Region(id=each["_id"], name=each["name"], currency_code=each["currency_code"].lower())
            for each in sorted(found, key=lambda region: str(region["_id"]))
        }
    )

"""The regions of a catalogue, which prices are for. What is deleted does not count."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchbus_strategies.catalog.documents import Region
from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["Ambiguous", "Regions", "Unknown", "load_regions"]


class Unknown(LookupError):
    """There is no region of that name. The message is for people."""


class Ambiguous(LookupError):
    """There are several regions of that name. The message is for people."""


@dataclass(slots=True)
class Regions:
    """All of them."""

    by_id: dict[str, Region] = field(default_factory=dict)

    def find(self, name: str, currency: str | None = None, *, hint: bool = True) -> Region:
        """The region of exactly this name, else of this name in another case, else of this id.

        Several of one name are told apart by `currency` (lower case). Raises `Unknown`, with the nearest name unless
        `hint` is False, since it takes its time to find one; `Ambiguous`.
        """
        exact = [region for region in self.by_id.values() if region["name"] == name]
        alike = exact or [region for region in self.by_id.values() if region["name"].lower() == name.lower()]
        if len(alike) > 1 and currency is not None:
            alike = [region for region in alike if region["currency_code"] == currency] or alike
        if len(alike) == 1:
            return alike[0]
        if name in self.by_id:
            return self.by_id[name]
        if alike:
            raise Ambiguous(f"{len(alike)} regions are named {name}")
        names = [region["name"] for region in self.by_id.values()]
        near = difflib.get_close_matches(name[:100], names, n=1) if hint else []
        raise Unknown(f"there is no region named {shortened(name)}" + (f"; did you mean {near[0]}?" if near else ""))


async def load_regions(catalog: Catalog) -> Regions:
    """They are read whole, since even a large shop has few of them."""
    found = await catalog["regions"].find(dict(LIVING), {"name": 1, "currency_code": 1}).to_list(None)
    return Regions(
        {
            each["_id"]: Region(id=each["_id"], name=each["name"], currency_code=each["currency_code"].lower())
            for each in sorted(found, key=lambda region: str(region["_id"]))
        }
    )

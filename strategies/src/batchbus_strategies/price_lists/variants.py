"""The variants that a price list's file names, looked up in the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from batchbus_strategies.catalog.living import LIVING, living
from batchbus_strategies.lookup import look_up

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Document, JobRun

__all__ = ["Variants", "load_variants"]

_FEW: Final = 200
"""Names up to which the catalogue is asked for each; of more, the ids and SKUs of all variants are read."""
_BATCH: Final = 500
_FIELDS: Final = ("variants.id", "variants.sku", "variants.deleted_at")


class Variants:
    """Ids and SKUs of variants that are not deleted."""

    def __init__(self) -> None:
        self.skus: dict[str, str] = {}
        """By id; empty for one that has none."""
        self.ids: dict[str, str] = {}
        """By SKU."""

    def add(self, product: Document) -> None:
        for variant in living(product.get("variants")):
            self.skus[variant["id"]] = sku = variant.get("sku") or ""
            if sku:
                self.ids[sku] = variant["id"]


async def load_variants(run: JobRun[BaseModel], ids: Sequence[str], skus: Sequence[str]) -> Variants:
    """Those of these ids and SKUs, and perhaps others."""
    variants = Variants()
    if len(ids) + len(skus) <= _FEW:
        products = run.catalog["products"]
        for field, values in (("variants.id", ids), ("variants.sku", skus)):
            for product in (await look_up(products, field, values, fields=_FIELDS, where=LIVING)).values():
                variants.add(product)
        return variants
    async for batch in _all(run):
        for product in batch:
            variants.add(product)
        await run.advance(0, message="Looking up variants")
    return variants


async def _all(run: JobRun[BaseModel]) -> AsyncIterator[list[Document]]:
    cursor = run.catalog["products"].find(dict(LIVING), dict.fromkeys(_FIELDS, 1), batch_size=_BATCH)
    while batch := await cursor.to_list(_BATCH):
        yield batch

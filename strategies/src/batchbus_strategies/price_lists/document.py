"""The document of a price list: found, and recognised if its prices have changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import bson

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.strategy import Document, StrategyError

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["find_price_list", "fingerprint", "revision_of"]


async def find_price_list(catalog: Catalog, id_: str) -> Document:
    """Raises `StrategyError` if there is none."""
    found = await catalog["price_lists"].find_one({"_id": id_, **LIVING})
    if found is None:
        raise StrategyError(f"There is no price list with the id {id_}", public=True)
    return found


def fingerprint(price_list: Document) -> str:
    """The same as long as the list has the same prices, whoever writes it and whatever else they change."""
    return hashlib.sha256(bson.encode({"prices": price_list.get("prices") or []})).hexdigest()


def revision_of(job_id: str) -> str:
    """The one that a list has once the job has written it; no other job gives it."""
    return f"{job_id}:1"

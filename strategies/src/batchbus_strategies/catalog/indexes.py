"""The indexes of the catalogue.

A unique index over `variants.sku` would depend on how a server treats array elements without the field. Arrays of
their own, absent when empty, in sparse indexes, mean the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from batchbus_strategies.strategy import StrategyError

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

    from batchbus_strategies.catalog.documents import Document

__all__ = ["CatalogInconsistent", "ensure_indexes"]

_DUPLICATE_KEY = 11000


class CatalogInconsistent(StrategyError):
    """The catalogue breaks a rule of its own, such as that a handle is unique."""


async def ensure_indexes(catalog: AsyncIOMotorDatabase[Document]) -> None:
    """Create what is not there yet; cheap if all are. Raises `CatalogInconsistent` if two records have the same key."""
    try:
        await catalog["products"].create_indexes(
            [
                IndexModel([("handle", ASCENDING)], unique=True),
                IndexModel([("skus", ASCENDING)], unique=True, sparse=True),
                IndexModel([("barcodes", ASCENDING)], unique=True, sparse=True),
            ]
        )
    except OperationFailure as error:
        if error.code != _DUPLICATE_KEY:
            raise
        raise CatalogInconsistent(
            f"Two products have the same handle, SKU or barcode; make them unique first ({error.details or error})"
        ) from error

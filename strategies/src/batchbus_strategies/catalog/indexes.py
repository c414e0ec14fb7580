"""The indexes of the catalogue.

A unique index over `variants.sku` would depend on how a server treats array elements without the field. Arrays of
their own, absent when empty, in indexes of those products that have them, mean the same everywhere. What is deleted is
in none of these indexes, so that its handle, SKUs and barcodes are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.strategy import StrategyError

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.strategy import Catalog, Document

__all__ = ["CatalogInconsistent", "ensure_indexes"]

_DUPLICATE_KEY: Final = 11000
_NO_SUCH_INDEX: Final = 27
_SAME_KEYS: Final = frozenset({85, 86})
"""An index of these keys exists with other options, and the server (MongoDB before 5.0) does not take a second one."""
_UNIQUE: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "living_handle": ("handle", LIVING),
    "living_skus": ("skus", {"skus": {"$exists": True}, **LIVING}),
    "living_barcodes": ("barcodes", {"barcodes": {"$exists": True}, **LIVING}),
}
_BEFORE: Final = ("handle_1", "skus_1", "barcodes_1")
"""Of the first version, over deleted products too."""


class CatalogInconsistent(StrategyError):
    """The catalogue breaks a rule of its own, such as that a handle is unique."""


async def ensure_indexes(catalog: Catalog) -> None:
    """Create what is not there yet; cheap if all are. Raises `CatalogInconsistent` if two records have the same key."""
    products = catalog["products"]
    there = await _names(products)
    missing = [
        IndexModel([(path, ASCENDING)], name=name, unique=True, partialFilterExpression=dict(only))
        for name, (path, only) in _UNIQUE.items()
        if name not in there
    ]
    if missing:
        await _create(products, missing)
    for name in _BEFORE:
        if name in there:
            await _drop(products, name)


async def _names(products: AsyncIOMotorCollection[Document]) -> set[str]:
    """Of the indexes that there are."""
    try:
        return set(await products.index_information())
    except OperationFailure:  # some servers know no indexes of a collection that is not there
        return set()


async def _create(products: AsyncIOMotorCollection[Document], missing: list[IndexModel]) -> None:
    try:
        await products.create_indexes(missing)
    except OperationFailure as error:
        if error.code in _SAME_KEYS:
            for name in _BEFORE:
                await _drop(products, name)
            await products.create_indexes(missing)
            return
        if error.code != _DUPLICATE_KEY:
            raise
        raise CatalogInconsistent(
            f"Two products have the same handle, SKU or barcode; make them unique first ({error.details or error})"
        ) from error


async def _drop(products: AsyncIOMotorCollection[Document], name: str) -> None:
    try:
        await products.drop_index(name)
    except OperationFailure as error:
        if error.code != _NO_SUCH_INDEX:  # another process was faster
            raise

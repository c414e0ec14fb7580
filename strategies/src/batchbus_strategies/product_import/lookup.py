"""Looking up what the catalogue has of the products in a file, in the way that costs least."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from bson import decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from batchbus_strategies.catalog.living import LIVING, unique_keys
from batchbus_strategies.lookup import KEYS_IN_A_QUERY
from batchbus_strategies.product_import.staging import FoundKeys, Staging

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.strategy import JobRun

__all__ = ["look_up_existing"]

_BATCH: Final = 500
_SMALL_CATALOG: Final = 1000
_FIELDS: Final = {"id": "_id", "handle": "handle", "sku": "skus", "barcode": "barcodes"}


async def look_up_existing(run: JobRun[Any], staging: Staging) -> None:
    """Add to the staging database every product of the catalogue that has an id, handle, SKU or barcode of the file.

    A catalogue that is not much larger than the file is read from end to end with one cursor; of a larger one only
    what the file names, by its indexes.
    """
    raw = CodecOptions(document_class=RawBSONDocument)
    products = cast("AsyncIOMotorCollection[RawBSONDocument]", run.catalog["products"].with_options(codec_options=raw))
    size = await products.estimated_document_count()
    if size == 0 and await products.find_one({}) is None:
        return
    read_whole = size <= max(_SMALL_CATALOG, 4 * staging.products)
    batches = _whole(products, LIVING) if read_whole else _named(products, staging)
    async for batch in batches:
        await asyncio.to_thread(_add, staging, batch)
        await run.advance(0, message="Comparing with the catalogue")


async def _whole(
    products: AsyncIOMotorCollection[RawBSONDocument], query: Mapping[str, Any]
) -> AsyncIterator[Sequence[RawBSONDocument]]:
    cursor = products.find(query, batch_size=_BATCH)
    while batch := await cursor.to_list(_BATCH):
        yield batch


async def _named(
    products: AsyncIOMotorCollection[RawBSONDocument], staging: Staging
) -> AsyncIterator[Sequence[RawBSONDocument]]:
    for field, path in _FIELDS.items():
        keys = staging.keys(field, KEYS_IN_A_QUERY)
        while batch := await asyncio.to_thread(next, keys, None):
            if found := await products.find({path: {"$in": batch}, **LIVING}).to_list(None):
                yield found
    for field, path in (("sku", "skus"), ("barcode", "barcodes")):
        # Those of other services, which may lack the array that the index is on: read once, without a list of values.
        lacking = {path: {"$exists": False}, f"variants.{field}": {"$gt": ""}, **LIVING}
        if await asyncio.to_thread(next, staging.keys(field, 1), None):
            async for every in _whole(products, lacking):
                yield every


def _add(staging: Staging, batch: Sequence[RawBSONDocument]) -> None:
    staging.add_existing([_keys(found) for found in batch])


def _keys(found: RawBSONDocument) -> FoundKeys:
    # The variants are what counts: a product that someone else put there may lack the arrays for the indexes.
    product = decode(found.raw)
    variants = product.get("variants") or []
    return FoundKeys(
        id=product["_id"],
        handle=product.get("handle"),
        skus=unique_keys(variants, "sku"),
        barcodes=unique_keys(variants, "barcode"),
        document=bytes(found.raw),
    )

"""The documents of the catalogue, as they are in MongoDB.

A product is one document with everything that belongs to it inside: `product_import.record` declares it. Fields without a value are null, with two
exceptions that the unique indexes need: `skus` and `barcodes`, which repeat those of the variants, are absent rather
than empty.

`revision` is the catalogue's optimistic lock: each change of a product gives it a revision that it never had before,
and an update filters on the revision that it was worked out from.
"""

from __future__ import annotations

from typing import TypedDict

from batchbus_strategies.strategy import Document

__all__ = ["Document", "Region"]


class Region(TypedDict):
    id: str
    name: str
    currency_code: str

"""Ids of catalogue documents: a prefix that tells what it is, and a ULID."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from batchbus_events.ids import derived_ulid, new_ulids

__all__ = ["Prefix", "derived_id", "ulids"]


class Prefix:
    """What an id names."""

    PRODUCT: Final = "prod_"
    VARIANT: Final = "variant_"
    OPTION: Final = "opt_"
    OPTION_VALUE: Final = "optval_"
    PRICE: Final = "ma_"
    IMAGE: Final = "img_"
    TAG: Final = "ptag_"
    TYPE: Final = "ptyp_"
    COLLECTION: Final = "pcol_"
    REGION: Final = "reg_"
    SALES_CHANNEL: Final = "sc_"
    CATEGORY: Final = "pcat_"


def ulids() -> Iterator[str]:
    """New ULIDs without end, made by the thousand."""
    while True:
        yield from new_ulids(1000)


@lru_cache(maxsize=10_000)  # the tags and types of a file are few, and each comes up in thousands of rows
def derived_id(prefix: str, value: str) -> str:
    """The one id of whatever is the same thing wherever it has this value: a tag, an image, a product type.

    Whoever makes it, whenever, makes the same id; so making it twice makes it once.
    """
    return prefix + derived_ulid(prefix, value)

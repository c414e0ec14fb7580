"""What of the catalogue is there: anything that bears a `deleted_at` is not, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from batchbus_strategies.strategy import Fields

__all__ = ["LIVING", "living"]

LIVING: Final[Mapping[str, None]] = {"deleted_at": None}
"""The query for documents that are not deleted; it also finds those that never had the field."""

T = TypeVar("T", bound=Fields)


def living(records: Iterable[T] | None) -> list[T]:
    """Those of a product's variants, prices, options, images or tags that are not deleted."""
    return [record for record in records or () if record.get("deleted_at") is None]

"""What an import of prices is asked with."""

from __future__ import annotations

from pydantic import Field

from batchbus_strategies.records import RecordImportContext

__all__ = ["PriceListImportContext"]


class PriceListImportContext(RecordImportContext):
    """As for any import of records. `keep` is the same as `skip`. Further keys are kept and ignored."""

    price_list_id: str = Field(min_length=1)
    """The price list whose prices the file replaces."""

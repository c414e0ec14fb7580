"""What an export is asked with, and what is made of it when the job is created."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from batchbus_strategies.list_config import ListConfig, complete_list_config
from batchbus_strategies.product_export.query import filters, order_of
from batchbus_strategies.records import RecordExportContext
from batchbus_strategies.strategy import JobRefused

__all__ = ["ProductExportContext", "complete_context"]

_RELATIONS: Final = (
    "variants",
    "variants.prices",
    "variants.options",
    "profiles",
    "images",
    "options",
    "options.values",
    "tags",
    "type",
    "collection",
    "sales_channels",
    "variants.prices.region",
)
_KNOWN_RELATIONS: Final = (
    "categories",
    "collection",
    "images",
    "options",
    "profile",
    "profiles",
    "sales_channels",
    "tags",
    "type",
    "variants",
)
"""Those of a product in Medusa v1."""


class ProductExportContext(RecordExportContext):
    """With the filters of `query`. Further keys are kept and ignored."""

    list_config: ListConfig = ListConfig(relations=list(_RELATIONS))
    """Where to begin (`skip`) and the order, by one field, as `{"created_at": "DESC"}`. It is made of the flat `limit`,
    `offset`, `order`, `fields` and `expand` when the job is created."""
    columns: list[str] | None = None
    """Columns to write, in this order; all of them if there are none given."""


def complete_context(context: MutableMapping[str, Any]) -> None:
    """Complete `list_config`. Raises `JobRefused`."""
    config = complete_list_config(context, _RELATIONS, _KNOWN_RELATIONS)
    order_of(config["order"] if isinstance(config["order"], dict) else {})
    if (fields := context.get("filterable_fields")) is None:
        context.pop("filterable_fields", None)
    elif not isinstance(fields, dict):
        raise JobRefused("filterable_fields is an object", field="filterable_fields")
    else:
        filters(fields)

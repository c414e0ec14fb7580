"""What an export is asked with, and what is made of it when the job is created.

Every export has every column, since an export of some would, imported again, clear the others.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.catalog.documents import Document
from batchbus_strategies.list_config import ListConfig, complete_list_config
from batchbus_strategies.product_export.query import filters, order_of
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
    *(
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
    ),
)
"""Those of a product in Medusa v1."""


class ProductExportContext(BaseModel):
    """Further keys are kept and ignored."""

    model_config = ConfigDict(extra="allow")

    list_config: ListConfig = ListConfig(relations=list(_RELATIONS))
    filterable_fields: Document = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, ge=1)
    """Export no more products than this."""


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

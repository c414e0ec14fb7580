"""What an export is asked with, and what is made of it when the job is created.

The names are Medusa's. `list_config.take`, `select` and `relations` are kept for its clients and have no effect: every
export has every column, since an export of some would, imported again, clear the others.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.product_export.query import filters, order_of
from batchbus_strategies.strategy import JobRefused

__all__ = ["ListConfig", "ProductExportContext", "complete_context"]

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
_TAKE: Final = 50
_ORDER: Final = {"created_at": "DESC"}
_FLAT: Final = ("limit", "offset", "order", "fields", "expand")


class ListConfig(BaseModel):
    """Which part of the products, in which order."""

    model_config = ConfigDict(extra="allow")

    skip: int = Field(default=0, ge=0)
    take: int = Field(default=_TAKE, ge=0)
    order: dict[str, str] = _ORDER
    select: list[str] | None = None
    relations: list[str] = list(_RELATIONS)


class ProductExportContext(BaseModel):
    """Further keys are kept and ignored."""

    model_config = ConfigDict(extra="allow")

    list_config: ListConfig = ListConfig()
    filterable_fields: dict[str, Any] = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, ge=1)
    """Export no more products than this."""


def complete_context(context: MutableMapping[str, Any]) -> None:
    """Build `list_config` from the flat keys, which it replaces. Raises `JobRefused`."""
    given = {name: context.pop(name) for name in _FLAT if name in context}
    if "list_config" not in context:
        context["list_config"] = _list_config(given)
    elif not isinstance(context["list_config"], dict):
        raise JobRefused("list_config is an object", field="list_config")
    else:
        context["list_config"] = _list_config({}) | context["list_config"]
    order_of(context["list_config"]["order"] if isinstance(context["list_config"]["order"], dict) else {})
    if (fields := context.get("filterable_fields")) is not None:
        if not isinstance(fields, dict):
            raise JobRefused("filterable_fields is an object", field="filterable_fields")
        filters(fields)


def _list_config(given: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "relations": _names(given, "expand") or list(_RELATIONS),
        "skip": _number(given, "offset", 0),
        "take": _number(given, "limit", _TAKE),
        "order": dict(_ORDER),
    }
    if order := given.get("order"):
        if not isinstance(order, str):
            raise JobRefused("order is the name of a field, with a minus in front for descending", field="order")
        config["order"] = {order.removeprefix("-"): "DESC" if order.startswith("-") else "ASC"}
    if select := _names(given, "fields"):
        config["select"] = sorted({*select, "id", "created_at"})
    return config


def _number(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise JobRefused(f"{name} is a number from 0 up", field=name)
    return value


def _names(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name) or []
    names = value.split(",") if isinstance(value, str) else value
    if not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        raise JobRefused(f"{name} is a list of names", field=name)
    return names

"""What an export is asked with, and what is made of it when the job is created.

The names are Medusa's. `list_config.take`, `select` and `relations` are kept for its clients and have no effect: every
export has every column, since an export of some would, imported again, clear the others.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from copy import deepcopy
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.catalog.documents import Document
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
_DEFAULTS: Final[Document] = {"relations": list(_RELATIONS), "skip": 0, "take": _TAKE, "order": _ORDER}
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
    filterable_fields: Document = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, ge=1)
    """Export no more products than this."""


def complete_context(context: MutableMapping[str, Any]) -> None:
    """Complete `list_config`: the flat keys, which it replaces, go before what it says itself. Raises `JobRefused`."""
    given = {name: value for name in _FLAT if (value := context.pop(name, None)) is not None}
    config = context.get("list_config") or {}
    if not isinstance(config, dict):
        raise JobRefused("list_config is an object", field="list_config")
    context["list_config"] = {**deepcopy(_DEFAULTS), **config, **_list_config(given)}
    order_of(context["list_config"]["order"] if isinstance(context["list_config"]["order"], dict) else {})
    if (fields := context.get("filterable_fields")) is None:
        context.pop("filterable_fields", None)
    elif not isinstance(fields, dict):
        raise JobRefused("filterable_fields is an object", field="filterable_fields")
    else:
        filters(fields)


def _list_config(given: Mapping[str, object]) -> Document:
    """What the flat keys say, in Medusa's words."""
    config: Document = {}
    if "expand" in given:
        config["relations"] = _names("expand", given["expand"])
    if "fields" in given:
        config["select"] = list(dict.fromkeys([*_names("fields", given["fields"]), "created_at", "id"]))
    if "offset" in given:
        config["skip"] = _number("offset", given["offset"])
    if "limit" in given:
        config["take"] = _number("limit", given["limit"])
    if "order" in given:
        order = given["order"]
        if not isinstance(order, str):
            raise JobRefused("order is the name of a field, with a minus in front for descending", field="order")
        config["order"] = {order.removeprefix("-"): "DESC" if order.startswith("-") else "ASC"}
    return config


def _number(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise JobRefused(f"{name} is a number from 0 up", field=name)
    return value


def _names(name: str, value: object) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        raise JobRefused(f"{name} is a list of names", field=name)
    return [one for one in names if one]

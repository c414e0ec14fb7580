"""Which products an export is about: from the job's context to a query."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, get_args

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.product_import.record import Status
from batchbus_strategies.strategy import Document, Fields, JobRefused

__all__ = ["ORDERS", "filters", "order_of"]

ORDERS: Final = {
    "id": "_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "handle": "handle",
    "title": "title",
    "status": "status",
}
"""What products can be ordered by, and the path in the document."""

_COMPARISONS: Final = {"lt": "$lt", "lte": "$lte", "gt": "$gt", "gte": "$gte"}


def order_of(config: Fields) -> list[tuple[str, int]]:
    """Of `{"created_at": "DESC"}`, as MongoDB takes it; products with the same value are in the order of their ids. Raises
    `JobRefused`."""
    if len(config) != 1:
        raise JobRefused("Products are ordered by one field", field="order")
    (name, direction), *_ = config.items()
    if name not in ORDERS:
        raise JobRefused(f"Products cannot be ordered by {name!r}; but by {', '.join(ORDERS)}", field="order")
    if direction not in ("ASC", "DESC"):
        raise JobRefused(f"The direction of an order is ASC or DESC, not {direction!r}", field="order")
    path, sign = ORDERS[name], 1 if direction == "ASC" else -1
    return [(each, sign) for each in dict.fromkeys((path, "_id"))]


def filters(fields: Fields) -> Document:
    """The query for `filterable_fields`. Raises `JobRefused` for a filter that there is not, or a wrong value."""
    conditions: list[Document] = [dict(LIVING)]
    for name, value in fields.items():
        make = _FILTERS.get(name)
        field = f"filterable_fields.{name}"
        if make is None:
            raise JobRefused(f"There is no filter {name!r}; there are {', '.join(_FILTERS)}", field=field)
        try:
            conditions.append(make(value))
        except ValueError as error:
            raise JobRefused(f"The filter {name} {error}", field=field) from None
    return {"$and": conditions} if len(conditions) > 1 else conditions[0]


def _one_of(path: str, allowed: Sequence[str] | None = None) -> Callable[[object], Document]:
    def make(value: object) -> Document:
        values = _texts(value)
        if allowed and (wrong := [text for text in values if text not in allowed]):
            raise ValueError(f"takes {', '.join(allowed)}, not {wrong[0]!r}")
        return {path: values[0] if len(values) == 1 else {"$in": values}}

    return make


def _flag(path: str) -> Callable[[object], Document]:
    def make(value: object) -> Document:
        if not isinstance(value, bool):
            raise ValueError("takes true or false")
        return {path: value}

    return make


def _time(path: str) -> Callable[[object], Document]:
    def make(value: object) -> Document:
        if not (isinstance(value, dict) and value and value.keys() <= _COMPARISONS.keys()):
            raise ValueError("takes an object of lt, lte, gt and gte with times")
        return {path: {_COMPARISONS[name]: _moment(bound) for name, bound in value.items()}}

    return make


def _tags(value: object) -> Document:
    values = _texts(value)
    wanted = {"$or": [{"id": {"$in": values}}, {"value": {"$in": values}}], **LIVING}
    return {"tags": {"$elemMatch": wanted}}


def _search(value: object) -> Document:
    if not isinstance(value, str):
        raise ValueError("takes a text")
    pattern = {"$regex": re.escape(value), "$options": "i"}
    paths = ("title", "subtitle", "description", "handle")
    of_variant = {"$or": [{"title": pattern}, {"sku": pattern}], **LIVING}
    return {"$or": [*({path: pattern} for path in paths), {"variants": {"$elemMatch": of_variant}}]}


def _texts(value: object) -> list[str]:
    values: list[Any] = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(text, str) for text in values):
        raise ValueError("takes a text or a list of texts")
    return values


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"takes ISO 8601 times, not {value!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_FILTERS: Final[dict[str, Callable[[object], Document]]] = {
    "id": _one_of("_id"),
    "handle": _one_of("handle"),
    "title": _one_of("title"),
    "description": _one_of("description"),
    "status": _one_of("status", get_args(Status)),
    "collection_id": _one_of("collection_id"),
    "type_id": _one_of("type_id"),
    "sales_channel_id": _one_of("sales_channels.id"),
    "category_id": _one_of("categories.id"),
    "tags": _tags,
    "is_giftcard": _flag("is_giftcard"),
    "discountable": _flag("discountable"),
    "q": _search,
    "created_at": _time("created_at"),
    "updated_at": _time("updated_at"),
}

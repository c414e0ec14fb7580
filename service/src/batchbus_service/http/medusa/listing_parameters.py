"""The query parameters of `GET /admin/batch-jobs`, as the OpenAPI document has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchbus_service.domain.job import Status
from batchbus_service.http.medusa.listing import MAX_LIMIT, MAX_OFFSET, ORDERS, TIMES
from batchbus_service.http.medusa.wire import FIELDS

__all__ = ["LISTING_PARAMETERS"]

_COMPARISONS: Final = {"lt": "before", "lte": "at or before", "gt": "after", "gte": "at or after"}


def _parameters() -> Iterator[dict[str, object]]:
    yield _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 10})
    yield _query("offset", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0})
    orders = [sign + field for field in ORDERS for sign in ("", "-")]
    yield _query(
        "order", {"type": "string", "enum": orders, "default": "-created_at"}, "With `-` in front, descending."
    )
    yield _query(
        "fields", _several(FIELDS), "Show these alone, with the id, the status and when it was made.", comma=True
    )
    yield _query("expand", _several(["created_by_user"]), "Show who made each job.", comma=True)
    yield _query("id[]", {"type": "array", "items": {"type": "string"}})
    yield _query("type[]", {"type": "array", "items": {"type": "string"}})
    yield _query("status[]", _several(list(Status)))
    for name in ("created_at", *TIMES):
        for comparison, description in _COMPARISONS.items():
            yield _query(
                f"{name}[{comparison}]", {"type": "string", "format": "date-time"}, f"{description.capitalize()} this."
            )
    for name in TIMES:
        yield _query(name, {"const": "null"}, "Not yet, or never.")


def _query(
    name: str, schema: dict[str, object], description: str | None = None, *, comma: bool = False
) -> dict[str, object]:
    parameter = {"name": name, "in": "query", "required": False, "schema": schema}
    if description is not None:
        parameter["description"] = description
    return parameter | {"style": "form", "explode": False} if comma else parameter


def _several(allowed: tuple[str, ...] | list[str] | list[Status]) -> dict[str, object]:
    return {"type": "array", "items": {"type": "string", "enum": [str(one) for one in allowed]}}


LISTING_PARAMETERS: Final = list(_parameters())

"""The query of `GET /admin/batch-jobs`, read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from batchbus_service.http.errors import invalid
from batchbus_service.http.wire import FIELDS
from batchbus_service.job import Status

__all__ = ["Listing", "Times", "read_listing"]

_DEFAULT_LIMIT: Final = 10
_MAX_LIMIT: Final = 1000
_MAX_OFFSET: Final = 2**31 - 1
_KEY: Final = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<inside>[^\[\]]*)\])?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?")
_COMPARISONS: Final = ("lt", "gt", "lte", "gte")
_REACHED: Final = ("confirmed_at", "pre_processed_at", "completed_at", "failed_at", "canceled_at")
_ORDERS: Final = tuple(field for field in FIELDS if field not in ("context", "result"))
_USER: Final = "created_by_user"

Times = Mapping[str, datetime]
"""Bounds of a time, by `lt`, `gt`, `lte` and `gte`. Empty: there must be no such time."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of jobs that someone wants to see. All conditions hold; None is no condition."""

    created_by: str | None
    ids: list[str] | None
    types: list[str] | None
    statuses: list[Status] | None
    times: Mapping[str, Times]
    """By the field that is compared."""
    order: str
    """One of the fields of a job."""
    descending: bool
    offset: float
    limit: float
    """As asked for, and as the answer repeats it: it may be a fraction."""
    fields: tuple[str, ...]
    """Which fields of a job to show, besides those that are always shown."""
    with_user: bool
    """Whether to show who made each job."""


def read_listing(query: Iterable[tuple[str, str]], created_by: str | None) -> Listing:
    """`created_by`: whose jobs may be seen; None for everyone's. Raises `ApiError` with everything that is wrong."""
    parameters = _Parameters(query)
    order = parameters.choice("order", tuple(sign + field for field in _ORDERS for sign in ("", "-"))) or "-created_at"
    listing = Listing(
        created_by=created_by,
        ids=parameters.array("id"),
        types=parameters.array("type"),
        statuses=parameters.statuses("status"),
        times=parameters.times(),
        order=order.removeprefix("-"),
        descending=order.startswith("-"),
        offset=parameters.number("offset", 0, least=0, most=_MAX_OFFSET),
        limit=parameters.number("limit", _DEFAULT_LIMIT, least=1, most=_MAX_LIMIT),
        fields=parameters.several("fields", FIELDS) or FIELDS,
        with_user=_USER in parameters.several("expand", (_USER,)),
    )
    parameters.check()
    return listing


class _Parameters:
    """Query parameters as Medusa's clients write them: `a=1`, `a[]=1`, `a[0]=1`, `a[lt]=1`. Gathers what is wrong."""

    def __init__(self, query: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[tuple[str | None, str]]] = {}
        self._faults: list[str] = []
        for key, value in query:
            match = _KEY.fullmatch(key)
            name, inside = (match["name"], match["inside"]) if match else (key, None)
            self._values.setdefault(name, []).append((inside, value))
            if "\0" in value:
                self._faults.append(f"{name[:100]} has a NUL in it")

    def check(self) -> None:
        """Call it when all that is known has been read. Raises `ApiError`."""
        unknown = [f"property {name[:100]} should not exist" for name in self._values]
        if faults := unknown + self._faults:
            raise invalid(", ".join(faults))

    def number(self, name: str, default: int, *, least: int, most: int) -> float:
        """A fraction is taken, and an empty value is 0, as in JavaScript."""
        text = self._single(name)
        if text is None:
            return default
        if text and not _NUMBER.fullmatch(text):
            self._faults.append(f"{name} must be a number conforming to the specified constraints")
            return default
        value = float(text or 0)
        if not least <= value <= most:
            self._faults.append(f"{name} must be from {least} to {most}")
        return int(value) if value == math.floor(value) else value

    def array(self, name: str) -> list[str] | None:
        """The values of a filter; one that is there with an empty value matches nothing."""
        given = self._values.pop(name, None)
        if given is not None and len(given) == 1 and given[0][0] is None:
            self._faults.append(f"{name} must be an array")
        return None if given is None else [value for _, value in given]

    def statuses(self, name: str) -> list[Status] | None:
        given = self._values.pop(name, None)
        if given is None:
            return None
        words = [value for _, value in given]
        if strange := [word for word in words if word not in tuple(Status)]:
            self._faults.append(f"{name} must be among {', '.join(Status)}, not {strange[0][:100]!r}")
        return [Status(word) for word in words if word in tuple(Status)]

    def times(self) -> dict[str, Times]:
        """Every condition on a time. That it is created is compared more strictly, and refused in Medusa's words."""
        conditions: dict[str, Times] = {}
        if given := self._values.pop("created_at", []):
            faults = list(dict.fromkeys(fault for inside, value in given if (fault := _created_fault(inside, value))))
            if faults:
                self._faults.append(_no_comparison("created_at", faults))
            conditions["created_at"] = _bounds(given)
        for name in (*_REACHED, "updated_at"):
            given = self._values.pop(name, [])
            if given == [(None, "null")]:
                conditions[name] = {}
            elif any(inside not in _COMPARISONS or _time(value) is None for inside, value in given):
                self._faults.append(f"{name} takes [lt], [gt], [lte] or [gte] and an ISO 8601 time, or null")
            elif given:
                conditions[name] = _bounds(given)
        return conditions

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self._single(name)
        if value is not None and value not in allowed:
            self._faults.append(f"{name} has no field {value.removeprefix('-')[:100]!r}")
        return value

    def several(self, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        value = self._single(name)
        chosen = tuple(one.strip() for one in value.split(",")) if value else ()
        if strange := [one for one in chosen if one not in allowed]:
            self._faults.append(f"{name} has no field {strange[0][:100]!r}")
        return chosen

    def _single(self, name: str) -> str | None:
        values = self._values.pop(name, [])
        if len(values) > 1 or any(inside is not None for inside, _ in values):
            self._faults.append(f"{name} must be given once")
        return values[0][1] if values else None


def _bounds(given: Iterable[tuple[str | None, str]]) -> Times:
    """The narrowest of each, of those that can be read."""
    bounds: dict[str, datetime] = {}
    for inside, value in given:
        if inside in _COMPARISONS and (time := _time(value)) is not None:
            narrowest = min if inside.startswith("l") else max
            bounds[inside] = narrowest(time, bounds.get(inside, time))
    return bounds


def _created_fault(inside: str | None, value: str) -> str | None:
    if inside is None:
        return "an unknown value was passed to the validate function"
    if inside not in _COMPARISONS:
        return f"property {inside[:100]} should not exist"
    return None if _time(value) else f"{inside} must be a Date instance"


def _no_comparison(name: str, faults: list[str]) -> str:
    """A message that is JSON itself: that is how Medusa says it."""
    kind = "DateComparisonOperator"
    said = {"message": f"{name} must be one of: {kind}", "details": {kind: faults}}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

"""The query of `GET /admin/batch-jobs`, read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from batchbus_service.domain.job import Status
from batchbus_service.domain.listing import Listing, Times
from batchbus_service.http.medusa.query import Parameter, parse_query
from batchbus_service.http.medusa.wire import FIELDS
from batchbus_service.http.server.errors import invalid

__all__ = ["MAX_LIMIT", "MAX_OFFSET", "ORDERS", "TIMES", "JobsQuery", "read_listing"]

MAX_LIMIT: Final = 1000
MAX_OFFSET: Final = 2**31 - 1
ORDERS: Final = tuple(field for field in FIELDS if field not in ("context", "result"))
"""The fields that a list can be ordered by."""
TIMES: Final = (
    "confirmed_at",
    "pre_processed_at",
    "completed_at",
    "failed_at",
    "canceled_at",
    "updated_at",
)
"""The times that can be compared, but for `created_at`, which is read more strictly."""

_DEFAULT_LIMIT: Final = 10
_USER: Final = "created_by_user"
_COMPARISONS: Final = ("lt", "gt", "gte", "lte")
"""In the order in which Medusa looks at them."""
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_OTHER_BASE: Final = re.compile(r"0x[0-9a-f]{1,15}|0o[0-7]{1,15}|0b[01]{1,15}", re.IGNORECASE)
_YEAR_OR_MONTH: Final = re.compile(r"[0-9]{4}(-[0-9]{2})?")
_SECONDS: Final = re.compile(r"[0-9]{9,11}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsQuery(Listing):
    """A page of jobs, and what of them to show. `offset` and `limit` are as asked for, and as the answer repeats them."""

    fields: tuple[str, ...]
    """Which fields of a job to show, besides those that are always shown."""
    with_user: bool
    """Whether to show who made each job."""


def read_listing(query: bytes, created_by: str | None) -> JobsQuery:
    """`created_by`: whose jobs may be seen; None for everyone's. Raises `ApiError` with everything that is wrong."""
    parameters = _Parameters(parse_query(query))
    ids, types = parameters.array("id"), parameters.array("type")
    statuses, times = parameters.statuses("status"), parameters.times()
    limit = parameters.number("limit", _DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    offset = parameters.number("offset", 0, least=0, most=MAX_OFFSET)
    expanded = parameters.names("expand", (_USER,))
    fields = parameters.fields("fields")
    order = parameters.order("order")
    parameters.check()
    return JobsQuery(
        created_by=created_by,
        ids=ids,
        types=types,
        statuses=statuses,
        times=times,
        order=order.removeprefix("-"),
        descending=order.startswith("-"),
        offset=offset,
        limit=limit,
        fields=fields,
        with_user=_USER in expanded,
    )


class _Parameters:
    """Reads one parameter after the other, in the order in which Medusa speaks of them, and gathers what is wrong."""

    def __init__(self, given: dict[str, Parameter]) -> None:
        self._given = given
        self._refused: list[str] = []
        """What Medusa refuses, with the messages that Medusa gives."""
        self._errors: list[str] = []
        """What it finds out too late, or not at all."""
        self._errors += [f"{name[:100]} has a NUL in it" for name, value in given.items() if _has_nul(value)]

    def check(self) -> None:
        """Call it when all that is known has been read. Raises `ApiError`."""
        unknown = [f"property {name[:100]} should not exist" for name in self._given]
        if errors := unknown + self._refused or self._errors:
            raise invalid(", ".join(errors))

    def number(self, name: str, default: int, *, least: int, most: int) -> float:
        given = self._given.pop(name, None)
        if given is None:
            return default
        value = _number(given)
        if value is None:
            self._refused.append(f"{name} must be a number conforming to the specified constraints")
            return default
        if not least <= value <= most:
            self._errors.append(f"{name} must be from {least} to {most}")
            return default
        return int(value) if value == math.floor(value) else value

    def array(self, name: str) -> list[str] | None:
        """The values of a filter; one that is there with an empty value matches nothing."""
        given = self._given.pop(name, None)
        if given is None:
            return None
        if not isinstance(given, list):
            self._refused.append(f"{name} must be an array")
            return None
        texts = [item for item in given if isinstance(item, str)]
        if len(texts) < len(given):
            self._errors.append(f"each value in {name} must be a string")
        return texts

    def statuses(self, name: str) -> list[Status] | None:
        """Medusa has no such filter, so that a single text will do."""
        if isinstance(text := self._given.get(name), str):
            self._given[name] = [text]
        names = self.array(name)
        if names is None:
            return None
        if strange := [each for each in names if each not in tuple(Status)]:
            self._errors.append(f"{name} must be among {', '.join(Status)}, not {strange[0][:100]!r}")
        return [Status(each) for each in names if each in tuple(Status)]

    def times(self) -> dict[str, Times]:
        """Every condition on a time. Raises `ApiError` for one on `created_at`: Medusa speaks of nothing else then."""
        conditions: dict[str, Times] = {}
        if (given := self._given.pop("created_at", None)) is not None:
            if errors := ", ".join(_errors_in_comparison(given)):
                raise invalid(_no_comparison("created_at", errors))
            conditions["created_at"] = _bounds(given) or {}  # of what has no faults there are some
        for name in TIMES:
            if (given := self._given.pop(name, None)) is None:
                continue
            if (bounds := _bounds(given)) is None:
                self._errors.append(f"{name} takes [lt], [gt], [lte] or [gte] and an ISO 8601 time, or null")
            else:
                conditions[name] = bounds
        return conditions

    def names(self, name: str, allowed: tuple[str, ...]) -> list[str]:
        """A list with commas; what is empty in it counts for nothing."""
        text = self._text(name) or ""
        chosen = [one for item in text.split(",") if (one := item.strip())]
        if strange := [one for one in chosen if one.lstrip("+-") not in allowed]:
            self._errors.append(f"{name} has no field {strange[0][:100]!r}")
        return chosen

    def fields(self, name: str) -> tuple[str, ...]:
        """`a,b` are those alone; `+a,-b` are all with the one and without the other."""
        if name not in self._given:
            return FIELDS
        chosen = self.names(name, FIELDS)
        if chosen and all(one.startswith(("+", "-")) for one in chosen):
            return tuple(field for field in FIELDS if f"-{field}" not in chosen)
        return tuple(one.lstrip("+-") for one in chosen)

    def order(self, name: str) -> str:
        text = self._text(name)
        if text is None:
            return "-created_at"
        if text.removeprefix("-") not in ORDERS:
            self._errors.append(f"{name} has no field {text.removeprefix('-')[:100]!r}")
        return text

    def _text(self, name: str) -> str | None:
        given = self._given.pop(name, None)
        if given is None or isinstance(given, str):
            return given
        self._refused.append(f"{name} must be a string")
        return None


def _number(given: Parameter) -> float | None:
    """As JavaScript reads it: an empty text is 0. None if it is no number, or too large a one."""
    if not isinstance(given, str):
        return None
    text = given.strip()
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if text and not _DECIMAL.fullmatch(text):
        return None
    value = float(text or 0)
    return value if math.isfinite(value) else None


def _bounds(given: Parameter) -> Times | None:
    """None if it cannot be understood. A time alone is compared for equality, as far as milliseconds go."""
    if given == "null":
        return {}
    if isinstance(given, str):
        given = {"gte": given, "lte": given}
    if not isinstance(given, dict):
        return None
    bounds = {
        comparison: time
        for comparison, value in given.items()
        if comparison in _COMPARISONS and (time := _time(value)) is not None
    }
    return bounds if len(bounds) == len(given) else None


def _errors_in_comparison(given: Parameter) -> Iterator[str]:
    if not isinstance(given, dict):
        yield "an unknown value was passed to the validate function"
        return
    yield from (f"property {name[:100]} should not exist" for name in given if name not in _COMPARISONS)
    yield from (f"{name} must be a Date instance" for name in _COMPARISONS if name in given and not _time(given[name]))


def _no_comparison(name: str, errors: str) -> str:
    """A message that is JSON itself, with the blanks after its commas: that is how Medusa says it."""
    kind = "DateComparisonOperator"
    said = {"message": f"{name} must be one of: {kind}", "details": {kind: errors.split(",")}}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def _time(given: Parameter) -> datetime | None:
    """ISO 8601, in UTC if it names no zone, also a year or a month alone; or seconds since 1970."""
    if not isinstance(given, str):
        return None
    text = given.strip()
    try:
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        if _YEAR_OR_MONTH.fullmatch(text):
            text = f"{text}-01-01"[:10]
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _has_nul(value: Parameter) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(map(_has_nul, value.values()))

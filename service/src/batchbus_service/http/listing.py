"""The query of `GET /admin/batch-jobs`, read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from batchbus_service.http.errors import invalid
from batchbus_service.http.wire import FIELDS
from batchbus_service.job import Status
from batchbus_service.ports import JobFilter

__all__ = ["Listing", "read_listing"]

_DEFAULT_LIMIT: Final = 10
_MAX_LIMIT: Final = 1000
_MAX_OFFSET: Final = 2**31
_KEY: Final = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<inside>[^\[\]]*)\])?")
_EVER: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_STEP: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of jobs that someone wants to see."""

    filter: JobFilter
    offset: int
    limit: int
    fields: tuple[str, ...]
    """Which fields of a job to show, besides those that are always shown."""


def read_listing(query: Iterable[tuple[str, str]], created_by: str | None) -> Listing:
    """`created_by`: whose jobs may be seen; None for everyone's. Raises `ApiError` with everything that is wrong."""
    parameters = _Parameters(query)
    created_from, created_until = parameters.times("created_at")
    listing = Listing(
        JobFilter(
            created_from=created_from,
            created_until=created_until,
            created_by=created_by,
            statuses=[Status(status) for status in parameters.words("status", allowed=tuple(Status))],
            types=parameters.words("type"),
        ),
        offset=parameters.number("offset", 0, range(_MAX_OFFSET)),
        limit=parameters.number("limit", _DEFAULT_LIMIT, range(1, _MAX_LIMIT + 1)),
        fields=parameters.fields() or FIELDS,
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

    def check(self) -> None:
        """Call it when all that is known has been read. Raises `ApiError`."""
        unknown = [f"property {name[:100]} should not exist" for name in self._values]
        if faults := unknown + self._faults:
            raise invalid(", ".join(faults))

    def number(self, name: str, default: int, allowed: range) -> int:
        value = self._single(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?[0-9]{1,15}", value):
            self._faults.append(f"{name} must be a number conforming to the specified constraints")
        elif int(value) not in allowed:
            self._faults.append(f"{name} must be from {allowed[0]} to {allowed[-1]}")
        else:
            return int(value)
        return default

    def words(self, name: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
        """The values of a filter that takes several; one that is there with an empty value matches nothing."""
        words = [value for _, value in self._values.pop(name, [])]
        if allowed and (strange := [word for word in words if word not in allowed]):
            self._faults.append(f"{name} must be among {', '.join(allowed)}, not {strange[0][:100]!r}")
            return []
        return words

    def times(self, name: str) -> tuple[datetime, datetime]:
        """Bounds that are both inclusive, from `[lt]`, `[gt]`, `[lte]` and `[gte]`."""
        low, high = _EVER
        for inside, value in self._values.pop(name, []):
            time = _time(value)
            if inside not in ("lt", "gt", "lte", "gte") or time is None:
                self._faults.append(f"{name} takes [lt], [gt], [lte] or [gte] and an ISO 8601 time")
            elif inside.startswith("l"):
                high = min(high, time - _STEP if inside == "lt" else time)
            else:
                low = max(low, time + _STEP if inside == "gt" else time)
        return low, high

    def fields(self) -> tuple[str, ...]:
        value = self._single("fields")
        fields = tuple(field.strip() for field in value.split(",")) if value else ()
        if strange := [field for field in fields if field not in FIELDS]:
            self._faults.append(f"fields has no field {strange[0][:100]}")
        return fields

    def _single(self, name: str) -> str | None:
        values = self._values.pop(name, [])
        if len(values) > 1 or any(inside is not None for inside, _ in values):
            self._faults.append(f"{name} must be given once")
        return values[0][1] if values else None


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

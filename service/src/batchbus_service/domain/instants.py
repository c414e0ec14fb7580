"""Times that somebody names in a request, and times as the database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

__all__ = ["AwareInstant", "Instant", "to_ms"]

_FIRST: Final = datetime(1, 1, 3)  # noqa: DTZ001 - compared with times whose zone is left out
_LAST: Final = datetime(9999, 12, 29)  # noqa: DTZ001
"""A day and more from the ends of the calendar, so that no time zone and no margin leads beyond them."""


def _in_calendar(time: datetime) -> datetime:
    if not _FIRST < time.replace(tzinfo=None) < _LAST:
        raise ValueError("takes a time between the years 1 and 9999, and not at their very ends")
    return time.replace(tzinfo=time.tzinfo or UTC)


Instant = Annotated[datetime, AfterValidator(_in_calendar)]
"""One without a zone is UTC."""
AwareInstant = Annotated[AwareDatetime, AfterValidator(_in_calendar)]
"""One without a zone is refused."""


def to_ms(time: datetime) -> datetime:
    """Cut to milliseconds, as the database keeps times."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)

"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["timestamp"]


def timestamp(time: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and a Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z" if time else None

"""Numbers with what they count."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"

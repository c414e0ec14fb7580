"""Numbers with what they count."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, several: str | None = None) -> str:
    """`1 row`, `2 rows`; `several` is the plural of words that have another one than with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"

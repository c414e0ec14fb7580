"""What a batch type does besides, while its imports are planned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchbus_strategies.records.errors import CellError

__all__ = ["Hooks"]


def _nothing_wrong(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterable[str]:
    return ()


def _as_said(values: dict[str, Any], old: Mapping[str, Any] | None) -> None:
    pass


def _as_made(element: dict[str, Any], place: int) -> None:
    pass


async def _as_stored(documents: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return documents


@dataclass(frozen=True, slots=True)
class Hooks:
    """As the methods of `RecordImport` are called; none of them does I/O but `with_shown`."""

    check: Callable[[Mapping[str, Any], Mapping[str, Any] | None], Iterable[str]] = _nothing_wrong
    complete: Callable[[dict[str, Any], Mapping[str, Any] | None], None] = _as_said
    new_element: Callable[[dict[str, Any], int], None] = _as_made
    reword: Callable[[CellError], CellError] = lambda error: error
    with_shown: Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[Mapping[str, Any]]]] = _as_stored

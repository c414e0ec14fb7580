"""What a batch type does besides, while its imports are planned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from batchbus_strategies.records.errors import CellError
from batchbus_strategies.strategy import Document, Fields

__all__ = ["Hooks"]


def _nothing_wrong(new: Fields, old: Fields | None) -> Iterable[str]:
    return ()


def _as_said(values: Document, old: Fields | None) -> None:
    pass


def _as_made(element: Document, place: int) -> None:
    pass


async def _as_stored(documents: Sequence[Fields]) -> Sequence[Fields]:
    return documents


@dataclass(frozen=True, slots=True)
class Hooks:
    """As the methods of `RecordImport` are called; none of them does I/O but `with_shown`."""

    check: Callable[[Fields, Fields | None], Iterable[str]] = _nothing_wrong
    complete: Callable[[Document, Fields | None], None] = _as_said
    new_element: Callable[[Document, int], None] = _as_made
    reword: Callable[[CellError], CellError] = lambda error: error
    with_shown: Callable[[Sequence[Fields]], Awaitable[Sequence[Fields]]] = _as_stored

"""A job's result: what is known of its progress and errors, and what its strategy has added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from batchbus_strategies import Json

__all__ = ["MAX_ERRORS", "JobResult"]

_T = TypeVar("_T")

_VALUES: Final = ("file_key", "file_size", "count", "advancement_count", "progress")

MAX_ERRORS: Final = 100
"""The most errors that are listed."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """The names are those of Medusa's `result`, in the API as in the database; the last two are batchbus's own.

    A value under one of these names that is not of its kind, which a strategy may have set, is kept in `added`.
    """

    added: Mapping[str, Json] = field(default_factory=dict)
    """What the strategy has set under names of its own."""
    file_key: str | None = None
    """The file that the job has made."""
    file_size: int | None = None
    """In bytes."""
    count: int | None = None
    """How many records there are to work through."""
    advancement_count: int | None = None
    """How many records have been worked through."""
    progress: float | None = None
    """From 0 to 1."""
    stat_descriptors: Sequence[Mapping[str, Json]] = ()
    """What an operator should know, each with `key`, `name` and `message`."""
    errors: Sequence[str] = ()
    """The first `MAX_ERRORS` of them."""
    error_count: int = 0
    """How many errors there were in all."""
    error_parts: Mapping[str, int] = field(default_factory=dict)
    """How many files of row errors each run has written, by phase and fence, in order; see `row_errors`."""

    @classmethod
    def read(cls, stored: Mapping[str, Json]) -> JobResult:
        """From what `to_json` has made, or a strategy has set."""
        rest = dict(stored)
        return cls(
            file_key=_taken(rest, "file_key", str),
            file_size=_taken(rest, "file_size", int),
            count=_taken(rest, "count", int),
            advancement_count=_taken(rest, "advancement_count", int),
            progress=_taken(rest, "progress", float),
            stat_descriptors=tuple(_taken_items(rest, "stat_descriptors", dict)),
            errors=tuple(_taken_items(rest, "errors", str)),
            error_count=_taken(rest, "error_count", int) or 0,
            error_parts=_taken_parts(rest),
            added=rest,
        )

    def to_json(self) -> dict[str, Json]:
        """As it is stored and shown. What is not known is left out."""
        shown: dict[str, Json] = dict(self.added)
        for name in _VALUES:
            if (value := getattr(self, name)) is not None:
                shown[name] = value
        if self.stat_descriptors:
            shown["stat_descriptors"] = [dict(entry) for entry in self.stat_descriptors]
        if self.errors:
            shown["errors"] = list(self.errors)
        if self.error_count:
            shown["error_count"] = self.error_count
        if self.error_parts:
            shown["error_parts"] = dict(self.error_parts)
        return shown

    def value(self, name: str) -> Json:
        """What is known of the file or of the numbers under that name, or what the strategy has set; None if nothing is."""
        known: Json = getattr(self, name) if name in _VALUES else None
        return self.added.get(name) if known is None else known

    def with_error(self, error: str, *, kept: int) -> JobResult:
        """The result with its first `kept` errors and one more, which is listed even if the list is full."""
        listed = (*self.errors[: min(kept, MAX_ERRORS - 1)], error)
        return replace(self, errors=listed, error_count=kept + 1)


def _taken(rest: dict[str, Json], name: str, kind: type[_T]) -> _T | None:
    value = rest.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        return None
    del rest[name]
    return value


def _taken_items(rest: dict[str, Json], name: str, kind: type[_T]) -> list[_T]:
    value = rest.get(name)
    if not isinstance(value, list):
        return []
    items = [item for item in value if isinstance(item, kind)]
    if len(items) < len(value):
        return []
    del rest[name]
    return items


def _taken_parts(rest: dict[str, Json]) -> dict[str, int]:
    value = rest.get("error_parts")
    if not isinstance(value, dict):
        return {}
    parts = {run: number for run, number in value.items() if isinstance(number, int)}
    if len(parts) < len(value):
        return {}
    del rest["error_parts"]
    return parts

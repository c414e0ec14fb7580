"""What a strategy hands to `JobRun.write`, and what it gets back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

__all__ = ["RecordWrite", "Written"]


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """One record, and what to make of it; it is inserted if it is not there."""

    key: Mapping[str, object]
    """What names the record: `{"_id": …}`, or the fields of a unique index, each with its value."""
    update: Mapping[str, Mapping[str, object]]
    """Update operators of MongoDB: `{"$set": {…}, "$inc": {…}}`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the records of one write. It may be awaited, for `async def` and `def` alike."""

    done: int
    """Records that were written or inserted."""
    repeated: int
    """Records on which this job had done the step before: they are left as they are."""

    def __await__(self) -> Generator[None, None, Written]:
        yield
        return self

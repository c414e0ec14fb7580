"""How many records a completed job has left out, so that it is not taken for a whole success. Pure, as `lifecycle` is."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import Final

from batchbus_service.domain.job import HistoryEntry, Job
from batchbus_service.domain.result import JobResult

__all__ = ["NO_ROOM", "with_omissions"]

_NAME: Final = "left_out"
_NOT_WRITTEN: Final = ("refused", "conflict")
"""What an outcome counts such records as."""
NO_ROOM: Final = "no_room"
"""In the data of an event that tells of a wait for room: the result has no error of that."""


def with_omissions(job: Job) -> JobResult | None:
    """The result of a job that is done, with `left_out` if there is something.

    What the strategy says counts most; else what it counts in `outcome`; else each row error stands for a record.
    """
    result = job.result
    if result is None or isinstance(result.added.get(_NAME), int):
        return result
    outcome = result.added.get("outcome")
    if isinstance(outcome, dict):
        numbers = (outcome.get(kind) for kind in _NOT_WRITTEN)
        left_out = sum(number for number in numbers if isinstance(number, int))
    else:
        left_out = _row_errors(job, result)
    return replace(result, added={**result.added, _NAME: left_out}) if left_out > 0 else result


def _row_errors(job: Job, result: JobResult) -> int:
    """Errors of records: those of runs that were lost are among `errors`, too, one for each."""
    if not result.error_parts:
        return 0
    since = takewhile(lambda entry: not _begins_anew(entry), reversed(job.history))
    return result.error_count - sum("attempt" in entry.data and NO_ROOM not in entry.data for entry in since)


def _begins_anew(entry: HistoryEntry) -> bool:
    """Whether the errors were counted from nothing there: when the job was checked again."""
    return entry.type == "batch.updated" and entry.data.get("status") == "created" and "attempt" not in entry.data

"""What a lifecycle event says of its job, whichever event it is."""

from __future__ import annotations

import math
from typing import Final

from batchbus_service.domain.job import MAX_TEXT, Job
from batchbus_strategies import Json

__all__ = ["numbers"]


def numbers(job: Job) -> dict[str, Json]:
    """What every lifecycle event says: where the job is, and the numbers of its result, never lists of errors."""
    data: dict[str, Json] = {
        "id": job.id,
        "type": job.type,
        "status": job.status.value,
        "dry_run": job.dry_run,
        "created_by": job.created_by,
        "run": job.fence,
    }
    if job.result:
        known = ((key, job.result.value(key)) for key in _RESULT_NUMBERS)
        data |= {key: value for key, value in known if _short(value)}
        if errors := job.result.error_count:
            data["errors"] = errors
    return data


_RESULT_NUMBERS: Final = (
    "count",
    "advancement_count",
    "progress",
    "operations",
    "plan_digest",
    "left_out",
    "file_key",
    "file_size",
)


def _short(value: Json) -> bool:
    """Whether this part of a result, which a strategy may have made, has a place in an event."""
    match value:
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= MAX_TEXT
        case dict():
            return len(value) <= 20 and all(isinstance(number, int) for number in value.values())
        case _:
            return isinstance(value, int)

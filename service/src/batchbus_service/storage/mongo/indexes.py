"""The indexes of the collection `jobs`, and what each is for.

Every job write pays for every one of them, so there is not one for each order of a list: see decision 8.
"""

from __future__ import annotations

from typing import Final

from pymongo import ASCENDING, IndexModel

__all__ = ["ALL", "BY_ID", "BY_STATUS", "ENGINE", "FILES", "INDEXES", "LISTS", "OWN", "UNFINISHED"]

OWN: Final = "list_own"
"""For lists of the jobs of one caller."""
ALL: Final = "list_all"
"""For lists of everyone's jobs."""
BY_STATUS: Final = "list_status"
"""For lists of everyone's jobs with a status that few jobs may have."""
BY_ID: Final = "_id_"
"""The one that every collection has."""

_LISTED: Final = (
    "created_at",
    "_id",
    "type",
    "dry_run",
    "status",
    "updated_at",
    "pre_processed_at",
    "confirmed_at",
    "processing_at",
    "completed_at",
    "failed_at",
    "canceled_at",
)
"""All that a list can be filtered and ordered by, but for `created_by`."""


def _list(name: str, *first: str) -> IndexModel:
    """All that is listed, so that which jobs are on a page, and how many there are, is read from the index alone."""
    fields = (*first, *(field for field in _LISTED if field not in first))
    return IndexModel([(field, ASCENDING) for field in fields], name=name)


ENGINE: Final = (
    IndexModel([("lane", ASCENDING), ("ready_at", ASCENDING)], name="ready", sparse=True),
    IndexModel([("wake_at", ASCENDING)], name="alarms", sparse=True),
)
UNFINISHED: Final = IndexModel([("counted_for", ASCENDING)], name="unfinished", sparse=True)
"""For the question how many jobs of somebody have not ended. It holds no others, however many have ended."""
FILES: Final = IndexModel([("result.file_key", ASCENDING)], name="files", sparse=True)
"""For the question whose job made a file."""
LISTS: Final = (_list(OWN, "created_by"), _list(ALL), _list(BY_STATUS, "status"))
INDEXES: Final = (*ENGINE, UNFINISHED, FILES, *LISTS)

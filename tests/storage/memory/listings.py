"""Lists of jobs, and whose a file is, in one process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import ge, gt, le, lt
from typing import Any, Final

from batchbus_service.domain.bus_rules import label_of
from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.listing import Listing, Times
from batchbus_service.domain.ports import Upload
from tests.storage.memory.jobs import MemoryJobStore

__all__ = ["MemoryJobListings", "MemoryUploadStore"]

_COMPARISONS: Final = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
_REACHED: Final = {f"{status}_at": status for status in Status if status is not Status.CREATED}


class MemoryJobListings:
    """`JobListings` of the jobs in a memory store."""

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._jobs = jobs

    async def find(self, listing: Listing) -> tuple[list[Job], int]:
        found = _ordered([job for job in self._jobs.jobs.values() if _is_listed(job, listing)], listing)
        begin = math.floor(listing.offset + 0.5)
        return found[begin : begin + math.floor(listing.limit + 0.5)], len(found)

    async def made_file(self, key: str, *, user_id: str | None = None, principal: str | None = None) -> bool:
        made = (job for job in self._jobs.jobs.values() if job.result is not None and job.result.file_key == key)
        return any(_made_by(job, user_id, principal) for job in made)

    async def unreadable(self, *, newest: int) -> list[UnreadableJob]:
        return []


class MemoryUploadStore:
    """`UploadStore` in a dict."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._sizes: dict[str, int] = {}

    async def prepare(self) -> None:
        pass

    async def insert(self, upload: Upload, at: datetime) -> None:
        self._uploads[upload.key] = upload

    async def get(self, key: str) -> Upload | None:
        return self._uploads.get(key)

    async def grant(self, key: str, services: Sequence[str]) -> None:
        if upload := self._uploads.get(key):
            self._uploads[key] = replace(upload, services=tuple(services))

    async def keep(self, key: str, counted: int) -> None:
        if key in self._uploads:
            self._sizes[key] = counted

    async def bytes_of(self, user_id: str) -> int:
        return sum(size for key, size in self._sizes.items() if self._uploads[key].user_id == user_id)

    async def remove(self, key: str) -> None:
        self._uploads.pop(key, None)
        self._sizes.pop(key, None)


def _made_by(job: Job, user_id: str | None, principal: str | None) -> bool:
    if user_id is not None and job.created_by == user_id:
        return True
    before = job.principal is None and principal is not None and job.created_by == f"bus:{label_of(principal)}"
    return before or (principal is not None and job.principal == principal)


def _is_listed(job: Job, listing: Listing) -> bool:
    return (
        listing.created_by in (None, job.created_by)
        and (listing.ids is None or job.id in listing.ids)
        and (listing.types is None or job.type in listing.types)
        and (listing.statuses is None or job.status in listing.statuses)
        and all(_is_within(_value(job, field), bounds) for field, bounds in listing.times.items())
    )


def _is_within(time: datetime | None, bounds: Times) -> bool:
    if time is None or not bounds:
        return time is None and not bounds
    return all(_COMPARISONS[comparison](time, bound) for comparison, bound in bounds.items())


def _ordered(jobs: list[Job], listing: Listing) -> list[Job]:
    newest = sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)
    if listing.order == "created_at":
        return newest if listing.descending else newest[::-1]
    values: Mapping[str, Any] = {job.id: _value(job, listing.order) for job in newest}
    there = [job for job in newest if values[job.id] is not None]
    there.sort(key=lambda job: values[job.id], reverse=listing.descending)  # stable, also in reverse
    never = [job for job in newest if values[job.id] is None]
    return never + there if listing.descending else there + never


def _value(job: Job, field: str) -> Any:
    return job.status_at.get(_REACHED[field]) if field in _REACHED else getattr(job, field)

"""Row errors: every record that a job could not use, as lines of JSON in the file store, in parts.

A run writes a part before every checkpoint that has news, and one when it ends, and never changes a part again. A
checkpoint says how many parts belong to it; a run that resumes there keeps those and drops the others, since it comes
across their records again. So over all runs of a job no row is lost, and none is there twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from tempfile import SpooledTemporaryFile
from typing import Final

from pydantic_core import to_json

from batchbus_service.domain.job import Job
from batchbus_strategies import Json, Services

__all__ = ["RowErrorLog", "part_keys"]

_IN_MEMORY: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024


class RowErrorLog:
    """What one run of one phase reports. `add` and `cut` are the strategy's side of it, `write` and `parts` the engine's."""

    def __init__(self, job: Job, services: Services, *, kept: int) -> None:
        """`kept`: how many of the parts that the job has belong to the checkpoint that this run resumes from."""
        self._job_id = job.id
        self._services = services
        self._run = f"{job.phase}-{job.fence}"
        self._kept = _first(job.result.error_parts if job.result else {}, kept)
        self._rows: SpooledTemporaryFile[bytes] | None = None
        self._cut = 0
        self._waiting: deque[SpooledTemporaryFile[bytes]] = deque()
        self._written = 0
        self._one_at_a_time = asyncio.Lock()

    def add(self, row: Mapping[str, Json]) -> None:
        if self._rows is None:
            self._rows = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed when its part is written
        self._rows.write(to_json(row) + b"\n")

    def cut(self) -> int:
        """End the part, if there is anything in it. Returns how many parts there are so far, over all runs."""
        if self._rows is not None:
            rows, self._rows = self._rows, None
            self._cut += 1
            self._waiting.append(rows)
        return sum(self._kept.values()) + self._cut

    async def write(self) -> None:
        """Put what was cut into the file store. If that fails, it can be tried again."""
        async with self._one_at_a_time:
            while self._waiting:
                rows = self._waiting[0]
                rows.seek(0)
                async with self._services.files.write(_key(self._job_id, self._run, self._written + 1)) as file:
                    while chunk := rows.read(_READ_BYTES):
                        await file.write(chunk)
                self._waiting.popleft().close()
                self._written += 1

    @property
    def parts(self) -> dict[str, int]:
        """Those that are in the file store."""
        return {**self._kept, self._run: self._written} if self._written else dict(self._kept)


def part_keys(job: Job) -> list[str]:
    """The files that hold the job's row errors, one after the other."""
    parts = job.result.error_parts if job.result else {}
    return [_key(job.id, run, number) for run, count in parts.items() for number in range(1, count + 1)]


def _key(job_id: str, run: str, number: int) -> str:
    return f"errors/{job_id}/{run}-{number}.jsonl"


def _first(parts: Mapping[str, int], kept: int) -> dict[str, int]:
    first: dict[str, int] = {}
    for run, count in parts.items():
        if kept > 0:
            first[run] = min(count, kept)
            kept -= count
    return first

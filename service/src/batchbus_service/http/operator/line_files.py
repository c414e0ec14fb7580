"""Files of lines that a job has left, such as its plan: in pages, and as a whole, as JSON Lines or as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import Query
from fastapi.responses import Response, StreamingResponse
from pydantic_core import from_json

from batchbus_service.domain.job import Job
from batchbus_service.http.server.errors import ApiError, not_found
from batchbus_service.http.server.state import Api
from batchbus_service.storage.line_index import LineFilter, blocks
from batchbus_strategies import FileMissing, Files, Json

__all__ = ["MEDIA", "Format", "Kind", "Limit", "LineFile", "Offset", "Text", "counts_of", "field_of"]

_MAX_LIMIT: Final = 1000
_MAX_OFFSET: Final = 2**31 - 1
_MAX_TEXT: Final = 200

Offset = Annotated[int, Query(ge=0, le=_MAX_OFFSET)]
Limit = Annotated[int, Query(ge=1, le=_MAX_LIMIT)]
Kind = Annotated[str | None, Query(pattern="^[a-z_-]{1,40}$")]
Text = Annotated[str | None, Query(min_length=1, max_length=_MAX_TEXT)]
Format = Literal["csv", "jsonl"]
_MEDIA: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
MEDIA: Final = ("text/csv", "application/x-ndjson")
"""The content types of a download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFile:
    """One of a job's files of JSON lines. `name` is what people call it: plan, outcome."""

    job: Job
    key: str
    name: str

    async def page(self, api: Api, *, offset: int, limit: int, only: LineFilter | None) -> tuple[list[Json], int]:
        """Some rows, and how many there are in all of those that the filter lets through. Raises `ApiError`."""
        try:
            page = await api.plans.page(self.key, offset=offset, limit=limit, only=only)
        except FileMissing:
            raise self._gone() from None
        return [self._row(offset + place, line) for place, line in enumerate(page.lines)], page.count

    async def download(
        self,
        api: Api,
        form: Format,
        *,
        only: LineFilter | None,
        columns: Sequence[str],
        cells: Callable[[bytes], list[list[str]]],
    ) -> Response:
        """All rows that the filter lets through, as they are in the file or as CSV. Raises `ApiError`."""
        if await api.file_access.size(self.key) is None:
            raise self._gone()
        headers = {
            "content-disposition": f'attachment; filename="{self.job.id}-{self.name}.{form}"',
            "x-content-type-options": "nosniff",
        }
        files = api.service.files
        if form == "jsonl":
            return StreamingResponse(_as_they_are(files, self.key, only), media_type=_MEDIA[form], headers=headers)
        pieces = _as_csv(files, self.key, only, columns, cells)
        return StreamingResponse(pieces, media_type=_MEDIA[form], headers=headers)

    def _gone(self) -> ApiError:
        return not_found(f"The {self.name} of {self.job.id} is not in the file store any more")

    def _row(self, place: int, line: bytes) -> Json:
        try:
            row: Json = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            job_type = self.job.type
            message = (
                f"Row {place} of the {self.name} cannot be read. The strategy of the type {job_type} wrote: {error}"
            )
            raise ApiError(500, "unknown_error", message) from error
        return row


def field_of(job: Job, path: str) -> str | None:
    """The text in the job's result at a path with dots, such as `files.PLAN`; None if there is none."""
    first, *below = path.split(".")
    found = job.result.value(first) if job.result else None
    for name in below:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def counts_of(job: Job, name: str) -> dict[str, int] | None:
    """Numbers by kind that the job's result has under that name; None if it has none."""
    found = job.result.value(name) if job.result else None
    if not isinstance(found, dict):
        return None
    return {kind: number for kind, number in found.items() if isinstance(number, int)}


async def _as_they_are(files: Files, key: str, only: LineFilter | None) -> AsyncIterator[bytes]:
    if only is None:
        async for piece in files.read(key):
            yield piece
        return
    async for lines in blocks(files, key):
        yield await asyncio.to_thread(_chosen, lines, only)


async def _as_csv(
    files: Files,
    key: str,
    only: LineFilter | None,
    columns: Sequence[str],
    cells: Callable[[bytes], list[list[str]]],
) -> AsyncIterator[str]:
    yield _csv([columns])
    async for lines in blocks(files, key):
        yield await asyncio.to_thread(_csv_of, lines, only, cells)


def _chosen(lines: Iterable[bytes], only: LineFilter) -> bytes:
    return b"".join(line + b"\n" for line in lines if only.lets_through(line))


def _csv_of(lines: Iterable[bytes], only: LineFilter | None, cells: Callable[[bytes], list[list[str]]]) -> str:
    chosen = (line for line in lines if line and (only is None or only.lets_through(line)))
    return _csv(row for line in chosen for row in cells(line))


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()

"""Routes: the records that a job could not use, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic_core import from_json

from batchbus_service.execution.row_errors import part_keys
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import ApiState
from batchbus_strategies import Files
from batchbus_strategies.tables.formulas import guarded

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

_COLUMNS: Final = ("line", "column", "code", "message", "value")


@router.get("/{id}/errors", response_class=Response, responses=answers(media="text/csv"))
async def row_errors(id: str, api: ApiState, caller: Reader) -> Response:
    """Every record that could not be used, over all runs of the job, as CSV: line, column, code, message, value.

    A cell that a spreadsheet would run as a formula has an apostrophe in front. Rows of a run that has not come to its
    end are there up to its last checkpoint.
    """
    job = await job_for(api, caller, id)
    keys = part_keys(job)
    if keys and await api.file_access.size(keys[0]) is None:
        raise not_found(f"The row errors of {job.id} are not in the file store any more")
    headers = {
        "content-disposition": f'attachment; filename="{job.id}-errors.csv"',
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(_rows(api.service.files, keys), media_type="text/csv; charset=utf-8", headers=headers)


async def _rows(files: Files, keys: Sequence[str]) -> AsyncIterator[str]:
    """Files of JSON lines as one CSV, piece by piece. Values come from strangers: none of them may run as a formula.

    A file that is missing in the middle breaks the answer off: it must not look whole.
    """
    yield _csv([_COLUMNS])
    for key in keys:
        rest = b""
        async for chunk in files.read(key):
            *lines, rest = (rest + chunk).split(b"\n")
            rows = map(from_json, lines)
            yield _csv([guarded(_cell(row.get(column))) for column in _COLUMNS] for row in rows)


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    return "" if value is None else str(value)

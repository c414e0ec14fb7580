"""Routes: what became of each record of a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from batchbus_service.domain.job import Job, Status
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.operator.line_files import (
    MEDIA,
    Format,
    Kind,
    Limit,
    LineFile,
    Offset,
    Text,
    counts_of,
    field_of,
)
from batchbus_service.http.operator.plan_rows import OUTCOME_COLUMNS, outcome_cells, row_filter
from batchbus_service.http.operator.schemas import OutcomePage
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import ApiJson, not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["outcome_key", "router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

Key = Annotated[str | None, Query(min_length=1, max_length=1000)]


@router.get("/{id}/outcome", responses=answers(OutcomePage))
async def outcome(
    id: str,
    api: ApiState,
    caller: Reader,
    key: Key = None,
    what: Kind = None,
    q: Text = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """What became of each record: an object with its `key`, its `line`, `what` was done, its `id`, and the `reason` if nothing was.

    `key` asks for the record with that key, its parts with a blank between them; `what` for those of which that became, such
    as `conflict`; `q` for those with that text in their key. `counts` has all of them by `what`.
    """
    file = _outcome_of(api, await job_for(api, caller, id))
    only = row_filter("what", kind=what, text=q, key=key)
    rows, count = await file.page(api, offset=offset, limit=limit, only=only)
    counts = counts_of(file.job, "outcome")
    return ApiJson({"outcome": rows, "count": count, "offset": offset, "limit": limit, "counts": counts})


@router.get("/{id}/outcome/download", response_class=Response, responses=answers(media=MEDIA))
async def download_outcome(
    id: str, api: ApiState, caller: Reader, format: Format = "csv", what: Kind = None, q: Text = None
) -> Response:
    """The outcome, or what `what` and `q` ask for of it, as a file: JSON Lines as they are, or CSV.

    The columns are line, key, what, id, revision and reason. A cell that a spreadsheet would run as a formula has an
    apostrophe in front.
    """
    file = _outcome_of(api, await job_for(api, caller, id))
    only = row_filter("what", kind=what, text=q)
    return await file.download(api, format, only=only, columns=OUTCOME_COLUMNS, cells=outcome_cells)


def outcome_key(api: Api, job: Job) -> str | None:
    """The key of the file that says what became of the job's records, if it has one."""
    return field_of(job, api.service.registry.declared(job.type).outcome_field)


def _outcome_of(api: Api, job: Job) -> LineFile:
    """Raises `ApiError` with the reason why there is none."""
    if key := outcome_key(api, job):
        return LineFile(job=job, key=key, name="outcome")
    if Status.COMPLETED in job.status_at:
        raise not_found(f"There is no outcome: jobs of the type {job.type} keep none")
    if job.terminal:
        raise not_found(f"There is no outcome: the job is {job.status}")
    raise not_found("There is no outcome yet: the job is still to be carried out")

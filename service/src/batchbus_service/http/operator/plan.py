"""Routes: what a job would do, record by record."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.plans import plan_digest
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
from batchbus_service.http.operator.plan_rows import PLAN_COLUMNS, plan_cells, row_filter
from batchbus_service.http.operator.schemas import PlanPage
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import ApiJson, not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["plan_key", "router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])


@router.get("/{id}/plan", responses=answers(PlanPage))
async def plan(
    id: str,
    api: ApiState,
    caller: Reader,
    kind: Kind = None,
    q: Text = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """The plan that pre-processing has made, as its strategy wrote it: an object for each row.

    `kind` asks for the rows with that `op`, such as `update`; `q` for those with that text in their `key`, in upper or lower
    case, or anywhere if they have no key. `count` is that of the rows asked for, `counts` has all by kind where the type
    counts them. A page with less than `limit` rows before the end holds as much as an answer may; go on at `offset` and its
    length.
    """
    file = _plan_of(api, await job_for(api, caller, id))
    rows, count = await file.page(api, offset=offset, limit=limit, only=row_filter("op", kind=kind, text=q))
    counts = counts_of(file.job, "operations")
    digest = plan_digest(file.job)
    return ApiJson(
        {"plan": rows, "count": count, "offset": offset, "limit": limit, "counts": counts, "plan_digest": digest}
    )


@router.get("/{id}/plan/download", response_class=Response, responses=answers(media=MEDIA))
async def download_plan(
    id: str, api: ApiState, caller: Reader, format: Format = "csv", kind: Kind = None, q: Text = None
) -> Response:
    """The plan, or what `kind` and `q` ask for of it, as a file: JSON Lines as they are, or CSV with a line for each change.

    The columns are line, key, op, field, old, new and message. A cell that a spreadsheet would run as a formula has an
    apostrophe in front.
    """
    file = _plan_of(api, await job_for(api, caller, id))
    only = row_filter("op", kind=kind, text=q)
    return await file.download(api, format, only=only, columns=PLAN_COLUMNS, cells=plan_cells)


def plan_key(api: Api, job: Job) -> str | None:
    """The key of the file in which the job's plan is, if it has one."""
    return field_of(job, api.service.registry.declared(job.type).plan_field)


def _plan_of(api: Api, job: Job) -> LineFile:
    """Raises `ApiError` with the reason why there is no plan."""
    if key := plan_key(api, job):
        return LineFile(job=job, key=key, name="plan")
    if Status.PRE_PROCESSED in job.status_at:
        raise not_found(f"There is no plan: jobs of the type {job.type} make none")
    if job.terminal:
        raise not_found(f"There is no plan: the job is {job.status}, and was not pre-processed before")
    raise not_found("There is no plan yet: the job is still to be pre-processed")

"""Routes: what a dry run would do, row by row."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic_core import from_json

from batchbus_service.domain.job import Job, Status
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.medusa.schemas import PlanPage
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import ApiError, ApiJson, not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState
from batchbus_strategies import FileMissing, Json

__all__ = ["plan_key", "router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

_MAX_LIMIT: Final = 1000
_MAX_OFFSET: Final = 2**31 - 1


@router.get("/{id}/plan", responses=answers(PlanPage))
async def plan(
    id: str,
    api: ApiState,
    caller: Reader,
    offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT)] = 100,
) -> Response:
    """The plan that pre-processing has made, as its strategy wrote it: an object for each row.

    A page with less than `limit` rows before the end holds as much as an answer may; go on at `offset` and its length.
    """
    job = await job_for(api, caller, id)
    try:
        page = await api.plans.page(_needed_plan_key(api, job), offset=offset, limit=limit)
    except FileMissing:
        raise not_found(f"The plan of {job.id} is not in the file store any more") from None
    rows = [_row(job, offset + place, line) for place, line in enumerate(page.lines)]
    return ApiJson({"plan": rows, "count": page.count, "offset": offset, "limit": limit})


def plan_key(api: Api, job: Job) -> str | None:
    """The key of the file in which the job's plan is, if it has one."""
    first, *below = api.service.registry.declared(job.type).plan_field.split(".")
    found = job.result.value(first) if job.result else None
    for name in below:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _needed_plan_key(api: Api, job: Job) -> str:
    """Raises `ApiError` with the reason why there is no plan."""
    if key := plan_key(api, job):
        return key
    if Status.PRE_PROCESSED in job.status_at:
        raise not_found(f"There is no plan: jobs of the type {job.type} make none")
    if job.terminal:
        raise not_found(f"There is no plan: the job is {job.status}, and was not pre-processed before")
    raise not_found("There is no plan yet: the job is still to be pre-processed")


def _row(job: Job, place: int, line: bytes) -> Json:
    try:
        row: Json = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        message = f"Row {place} of the plan cannot be read. The strategy of the type {job.type} wrote: {error}"
        raise ApiError(500, "unknown_error", message) from error
    return row

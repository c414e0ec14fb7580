"""Routes: batch jobs, as Medusa v1 has them, and beside them what it does not have: retry, and check again."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from batchbus_service.access import Principal
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.http.medusa.access import job_for, require_files
from batchbus_service.http.medusa.bodies import AnyBody, JsonBody, read_check_again, read_create, read_plan_digest
from batchbus_service.http.medusa.creating import create_job, prepared_draft
from batchbus_service.http.medusa.listing import read_listing
from batchbus_service.http.medusa.listing_parameters import LISTING_PARAMETERS
from batchbus_service.http.medusa.schemas import CheckAgain, Confirmation, JobList, NewJob, OneJob
from batchbus_service.http.medusa.wire import job_on_the_wire, user_on_the_wire
from batchbus_service.http.server.callers import Reader, Writer
from batchbus_service.http.server.errors import ApiJson, invalid
from batchbus_service.http.server.openapi import answers, may_take, takes
from batchbus_service.http.server.state import Api, ApiState
from batchbus_strategies import Draft, Json

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_KEY: Final = 255


@router.post("", status_code=201, responses=answers(OneJob, 201, refusals=(409, 429)), openapi_extra=takes(NewJob))
async def create(
    request: Request,
    api: ApiState,
    caller: Writer,
    body: JsonBody,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """`{type, context, dry_run}`. The same `Idempotency-Key` from the same user answers with the same job."""
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= _MAX_KEY:
        raise invalid(f"Idempotency-Key must have 1 to {_MAX_KEY} characters")
    asked = read_create(body)
    await require_files(api, caller, asked.type, asked.context)
    job = await create_job(
        api.service.commands,
        asked,
        user_id=caller.user.id,
        idempotency_key=idempotency_key,
        cause=_cause(request, caller),
    )
    return _answer(job, status=201)


@router.get("", responses=answers(JobList), openapi_extra={"parameters": LISTING_PARAMETERS})
async def list_jobs(request: Request, api: ApiState, caller: Reader) -> Response:
    """The newest first; own jobs only, unless an operator asks."""
    listing = read_listing(request.scope["query_string"], None if caller.sees_all else caller.user.id)
    jobs, count = await api.service.stores.listings.find(listing)
    shown = {"id", "created_at", "status", "dry_run", *listing.fields}
    wire = [{key: value for key, value in job_on_the_wire(job).items() if key in shown} for job in jobs]
    if listing.with_user:
        users = await api.users.known(job.created_by for job in jobs)
        for job, on_the_wire in zip(jobs, wire, strict=True):
            user = users[job.created_by]
            on_the_wire["created_by_user"] = user_on_the_wire(user).model_dump() if user else None
    return ApiJson({"batch_jobs": wire, "count": count, "offset": listing.offset, "limit": listing.limit})


@router.get("/{id}", responses=answers(OneJob))
async def retrieve(id: str, api: ApiState, caller: Reader) -> Response:
    """One job. Somebody else's is shown to operators alone."""
    return _answer(await job_for(api, caller, id))


@router.post("/{id}/confirm", responses=answers(OneJob), openapi_extra=may_take(Confirmation))
async def confirm(id: str, request: Request, api: ApiState, caller: Writer, body: AnyBody) -> Response:
    """Let a dry run go on. Refused unless it is pre-processed; of several at the same moment, one is accepted.

    With `plan_digest`, as the job's `result` has it, it is refused if the job has another plan by now.
    """
    job = await job_for(api, caller, id)
    plan_digest = read_plan_digest(body)
    return _answer(await api.service.commands.confirm(job, _cause(request, caller), plan_digest=plan_digest))


@router.post("/{id}/cancel", responses=answers(OneJob))
async def cancel(id: str, request: Request, api: ApiState, caller: Writer, _body: AnyBody) -> Response:
    """Answers at once; a run stops at its next chunk. A second cancel changes nothing."""
    job = await job_for(api, caller, id)
    return _answer(await api.service.commands.cancel(job, _cause(request, caller)))


@router.post("/{id}/retry", responses=answers(OneJob, refusals=(429,)))
async def retry(id: str, request: Request, api: ApiState, caller: Writer, _body: AnyBody) -> Response:
    """A failed or canceled job goes on from its last checkpoint."""
    job = await job_for(api, caller, id)
    return _answer(await api.service.commands.retry(job, _cause(request, caller)))


@router.post("/{id}/check-again", responses=answers(OneJob), openapi_extra=may_take(CheckAgain))
async def check_again(id: str, request: Request, api: ApiState, caller: Writer, body: JsonBody) -> Response:
    """A job that was never confirmed is pre-processed anew, on its file or on another, `{fileKey}`: it has a new plan then.

    Earlier plans stay in the file store. A confirmation by the `plan_digest` of one of them is refused.
    """
    job = await job_for(api, caller, id)
    file_key = read_check_again(body)
    context = None if file_key is None else await _with_another_file(api, caller, job, file_key)
    return _answer(await api.service.commands.check_again(job, _cause(request, caller), context=context))


async def _with_another_file(api: Api, caller: Principal, job: Job, file_key: str) -> dict[str, Json]:
    """The job's context with the file, as its strategy prepares it. Raises: `ApiError`, `UnknownType`."""
    fields = api.service.registry.declared(job.type).file_fields
    if not fields:
        raise invalid(f"Jobs of the type {job.type} read no file")
    context = {**job.context, fields[0]: file_key}
    await require_files(api, caller, job.type, context)
    draft = Draft(job.type, context, job.dry_run)
    return (await prepared_draft(api.service.commands, draft, job.created_by)).context


def _answer(job: Job, *, status: int = 200) -> Response:
    return ApiJson({"batch_job": job_on_the_wire(job)}, status_code=status)


def _cause(request: Request, caller: Principal) -> Cause:
    """A caller's trace goes on in the job's events."""
    traceparent = request.headers.get("traceparent", "")
    return Cause(by=caller.user.id, traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None)

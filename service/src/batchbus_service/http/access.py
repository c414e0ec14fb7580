"""Which jobs and files a caller may see and touch: their own; an operator, everyone's."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from batchbus_service.http.callers import authenticate
from batchbus_service.http.errors import invalid, not_allowed
from batchbus_service.http.paths import segment
from batchbus_service.http.state import Api, api_of
from batchbus_service.job import Job
from batchbus_service.users import Principal
from batchbus_strategies import Json

__all__ = ["admit", "job_for", "require_file"]


async def admit(request: Request) -> None:
    """What comes before a path under `/admin` is not found: who asks, and the job that the path is about.

    Raises: `Unauthorized`, and what `job_for` raises.
    """
    caller = await authenticate(request)
    match request.url.path.split("/"):
        case ["", "admin", "batch-jobs", id, *_]:
            await job_for(api_of(request), caller, id)


async def job_for(api: Api, caller: Principal, id: str) -> Job:
    """The job that a path names. Raises: `UnknownJob`, and `ApiError` if it is somebody else's."""
    job_id = segment(id)
    if "\0" in job_id:
        raise invalid("id has a NUL in it")
    job = await api.service.ledger.get(job_id)
    if not caller.sees_all and job.created_by != caller.user.id:
        raise not_allowed("Cannot access a batch job that does not belong to the logged in user")
    return job


async def require_file(api: Api, caller: Principal, context: Mapping[str, Json]) -> None:
    """Refuse a job that would read somebody else's file, in the words for one that does not exist. Raises `ApiError`."""
    key = context.get("fileKey")
    if isinstance(key, str) and await api.shelf.withheld_from(caller, key):
        raise invalid(f"fileKey: There is no file with the key {key}")

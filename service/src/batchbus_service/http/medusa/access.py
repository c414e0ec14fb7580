"""Which jobs and files a caller may see and touch: their own; an operator, everyone's."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from batchbus_service.access import Principal
from batchbus_service.access.files import named_files
from batchbus_service.domain.job import Job
from batchbus_service.http.server.callers import authenticate
from batchbus_service.http.server.errors import invalid, not_allowed
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, api_of
from batchbus_strategies import Json

__all__ = ["admit", "job_for", "require_files"]


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
    job = await api.service.transitions.get(job_id)
    if not caller.sees_all and job.created_by != caller.user.id:
        raise not_allowed("Cannot access a batch job that does not belong to the logged in user")
    return job


async def require_files(api: Api, caller: Principal, job_type: str, context: Mapping[str, Json]) -> None:
    """Refuse a job that would read a file that is not the caller's to read, in the words for one that does not exist.

    Raises `ApiError`.
    """
    fields = api.service.registry.declared(job_type).file_fields
    for path, text in named_files(context, fields):
        if not await api.file_access.may_read(caller, text):
            raise invalid(f"{path}: There is no file with the key {text[:200]}")

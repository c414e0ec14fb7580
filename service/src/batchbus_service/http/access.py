"""Which jobs a caller may see and touch: their own; an operator, everyone's."""

from __future__ import annotations

from batchbus_service.http.errors import invalid, not_allowed
from batchbus_service.http.paths import segment
from batchbus_service.http.state import Api
from batchbus_service.job import Job
from batchbus_service.users import Principal

__all__ = ["job_for"]


async def job_for(api: Api, caller: Principal, id: str) -> Job:
    """The job that a path names. Raises: `UnknownJob`, and `ApiError` if it is somebody else's."""
    job_id = segment(id)
    if "\0" in job_id:
        raise invalid("id has a NUL in it")
    job = await api.service.ledger.get(job_id)
    if not caller.sees_all and job.created_by != caller.user.id:
        raise not_allowed("Cannot access a batch job that does not belong to the logged in user")
    return job

"""Routes: what was uploaded, reduced to the records that were not applied."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from batchbus_service.domain.job import Job
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.operator.line_files import field_of
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import not_found
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["error_file_name", "router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])
_ANY: Final = "application/octet-stream"


@router.get("/{id}/error-file", response_class=Response, responses=answers(media=_ANY))
async def error_file(id: str, api: ApiState, caller: Reader) -> Response:
    """The rows of a file that could not be used, as they came, with a column `_errors`: to be mended and sent again.

    It is in the format of what was uploaded, but for ODS, which becomes XLSX.
    """
    job = await job_for(api, caller, id)
    key, name = _error_file_key(api, job), error_file_name(api, job)
    if key is None or name is None:
        raise not_found(f"There is no error file: {job.id} has left out no record of a file, or its type makes none")
    if await api.file_access.size(key) is None:
        raise not_found(f"The error file of {job.id} is not in the file store any more")
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(api.service.files.read(key), media_type=_ANY, headers=headers)


def error_file_name(api: Api, job: Job) -> str | None:
    """What the file is called that `error-file` answers with; None if there is none."""
    key = _error_file_key(api, job)
    return None if key is None else f"{job.id}-errors{''.join(PurePosixPath(key).suffixes[-2:])}"


def _error_file_key(api: Api, job: Job) -> str | None:
    return field_of(job, api.service.registry.declared(job.type).error_file_field)

"""Routes: what a job has left behind in the file store is forgotten at once."""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.operator.schemas import ForgottenFiles
from batchbus_service.http.server.callers import Writer
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import ApiState
from batchbus_service.operations.job_files import JobFiles

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])


@router.post("/{id}/forget", responses=answers(ForgottenFiles))
async def forget(id: str, api: ApiState, caller: Writer) -> Response:
    """Remove a job's plan, outcome, error file and row errors now, and not after `BATCHBUS_JOB_FILES_DAYS`.

    The job, its history, what was uploaded and what it exported stay. It has to be at its end: a job that goes on needs
    its plan.
    """
    job = await job_for(api, caller, id)
    if not job.terminal:
        raise NotAllowed(f"The job is {job.status}, and may need its files still; cancel it first, or wait for its end")
    removed = await JobFiles(api.service.files, structlog.get_logger("batchbus")).forget(job)
    return ForgottenFiles(id=job.id, files_removed=removed).response()

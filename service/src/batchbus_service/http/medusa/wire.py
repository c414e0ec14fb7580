"""A job as Medusa shows it, and a user."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from batchbus_service.access import User
from batchbus_service.domain.job import Job, Status
from batchbus_service.http.medusa import schemas
from batchbus_service.http.medusa.times import timestamp
from batchbus_strategies import Json

__all__ = ["FIELDS", "Wire", "job_on_the_wire", "user_on_the_wire"]

Wire = dict[str, Json]

_TIMED: Final = tuple(status for status in Status if status is not Status.CREATED)

FIELDS: Final = (
    "id",
    "type",
    "status",
    "dry_run",
    "context",
    "result",
    "created_by",
    "created_at",
    "updated_at",
    "deleted_at",
    *(f"{status}_at" for status in _TIMED),
)
"""Every field of a job that others see."""


def job_on_the_wire(job: Job) -> Wire:
    """As Medusa shows a job: nothing of leases, versions or history."""
    return {
        "id": job.id,
        "type": job.type,
        "status": job.status.value,
        "dry_run": job.dry_run,
        "context": job.context,
        "result": _result(job),
        "created_by": job.created_by,
        "created_at": timestamp(job.created_at),
        "updated_at": timestamp(job.updated_at),
        "deleted_at": timestamp(job.deleted_at),
        **{f"{status}_at": timestamp(job.status_at.get(status)) for status in _TIMED},
    }


def user_on_the_wire(user: User) -> schemas.User:
    """A user, without anything that lets one in."""
    return schemas.User(
        id=user.id,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        metadata=dict(user.metadata) if user.metadata is not None else None,
        created_at=user.created_at,
        updated_at=user.updated_at,
        deleted_at=None,
    )


def _result(job: Job) -> Wire | None:
    """The result without the places of the row errors, and with their number only where not all are listed."""
    if job.result is None:
        return None
    result = replace(job.result, error_parts={}).to_json()
    if job.result.error_count == len(job.result.errors):
        result.pop("error_count", None)
    return result

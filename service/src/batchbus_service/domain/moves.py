"""The one table of moves from status to status: the store's filter, errors, commands and documentation derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import Job, Status, evolve
from batchbus_service.domain.state_machine import Move, StateMachine

__all__ = ["MOVES", "reached"]


_OPEN: Final = (Status.CREATED, Status.PRE_PROCESSED, Status.CONFIRMED, Status.PROCESSING)

MOVES: Final = StateMachine(
    Status.CREATED,
    "batch.created",
    Move(Status.CREATED, Status.PRE_PROCESSED, "pre-processing has ended", "worker"),
    Move(Status.PRE_PROCESSED, Status.CONFIRMED, "confirmed, or not a dry run", "requester"),
    Move(Status.PRE_PROCESSED, Status.CREATED, "checked again", "requester"),
    Move(Status.CONFIRMED, Status.PROCESSING, "a worker with a free slot took it", "worker"),
    Move(Status.PROCESSING, Status.COMPLETED, "everything is done", "worker"),
    *(Move(source, Status.FAILED, "it cannot be done", "worker") for source in _OPEN),
    *(Move(source, Status.CANCELED, "called off", "requester") for source in _OPEN),
    *(
        Move(ended, Status.CREATED, "retried or checked again, never confirmed", "requester")
        for ended in (Status.FAILED, Status.CANCELED)
    ),
    *(Move(ended, Status.CONFIRMED, "retried", "requester") for ended in (Status.FAILED, Status.CANCELED)),
)
"""Every allowed change of a job's status."""


def reached(job: Job, status: Status, now: datetime, times: Mapping[Status, datetime] | None = None) -> Job:
    if not MOVES.allows(job.status, status):
        raise NotAllowed(f"A batch job cannot go from {job.status} to {status}")
    times_reached = dict(job.status_at if times is None else times)
    if status is not Status.CREATED:
        times_reached[status] = now
    return evolve(job, status=status, status_at=times_reached, no_room_since=None)

"""The one table of moves from status to status: the store's filter, errors, commands and documentation derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import Job, Status

__all__ = ["MOVES", "Move", "diagram", "reached"]


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed change of status."""

    source: Status
    target: Status
    reason: str
    by: str


_OPEN: Final = (Status.CREATED, Status.PRE_PROCESSED, Status.CONFIRMED, Status.PROCESSING)

MOVES: Final = (
    Move(Status.CREATED, Status.PRE_PROCESSED, "pre-processing has ended", "worker"),
    Move(Status.PRE_PROCESSED, Status.CONFIRMED, "confirmed, or not a dry run", "requester"),
    Move(Status.CONFIRMED, Status.PROCESSING, "a worker with a free slot took it", "worker"),
    Move(Status.PROCESSING, Status.COMPLETED, "everything is done", "worker"),
    *(Move(source, Status.FAILED, "it cannot be done", "worker") for source in _OPEN),
    *(Move(source, Status.CANCELED, "called off", "requester") for source in _OPEN),
    *(
        Move(ended, Status.CREATED, "retried before pre-processing", "operator")
        for ended in (Status.FAILED, Status.CANCELED)
    ),
    *(Move(ended, Status.CONFIRMED, "retried", "operator") for ended in (Status.FAILED, Status.CANCELED)),
)
"""Every allowed change of status. The store's filter, the errors, the CLI and the diagram derive from it."""

_ALLOWED: Final = {(move.source, move.target): move for move in MOVES}


def diagram() -> str:
    """The transition table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.CREATED}: batch.created"]
    lines += [f"    {move.source} --> {move.target}: {move.reason}" for move in MOVES]
    lines.append(f"    {Status.COMPLETED} --> [*]")
    return "\n".join(lines) + "\n"


def reached(job: Job, status: Status, now: datetime, times: Mapping[Status, datetime] | None = None) -> Job:
    if (job.status, status) not in _ALLOWED:
        raise NotAllowed(f"A batch job cannot go from {job.status} to {status}")
    times_reached = dict(job.status_at if times is None else times)
    if status is not Status.CREATED:
        times_reached[status] = now
    return replace(job, status=status, status_at=times_reached, no_room_since=None)

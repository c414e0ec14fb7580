"""How a run of one phase ended, and what its last write makes of the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from batchbus_service.domain.job import Job, evolve
from batchbus_service.domain.lifecycle import Cause, Decider
from batchbus_strategies import Json

__all__ = ["Completed", "Crashed", "Failed", "GivenBack", "NoRoom", "Outcome", "PreProcessed", "Refused", "applied"]


@dataclass(frozen=True, slots=True)
class PreProcessed:
    """The strategy's `pre_process` came to its end."""

    context: Mapping[str, Json]
    dry_run: bool
    go_on: bool
    """This worker has a slot to carry the job out at once, if it is confirmed."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The strategy's `process` came to its end."""

    context: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The strategy stopped because the worker shuts down, or because the job was canceled."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The strategy says that the job cannot be done, and that another run would not do better."""

    reason: str
    public: str | None = None
    """The reason without values of cells, for the event; None if it has none."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An error ended the run. `retry`: another run may do better. `jitter`: see `Decider.run_lost`."""

    error: str
    public: str
    """The same for events, without values of cells and records."""
    retry: bool = True
    jitter: float = 1.0


@dataclass(frozen=True, slots=True)
class Crashed:
    """The run ended the process that it had for itself."""

    error: str
    public: str
    jitter: float = 1.0


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The file store was full."""

    error: str
    public: str
    jitter: float = 1.0


Outcome = PreProcessed | Completed | GivenBack | Refused | Failed | Crashed | NoRoom


def applied(outcome: Outcome, job: Job, now: datetime, decider: Decider, cause: Cause) -> Job:
    match outcome:
        case PreProcessed(context, dry_run, go_on):
            ready = evolve(job, context=dict(context), dry_run=dry_run, prepared=True)
            return decider.pre_processed(ready, now, cause, go_on=go_on)
        case Completed(context):
            return decider.completed(evolve(job, context=dict(context)), now, cause)
        case GivenBack():
            return decider.released(job, now)
        case Refused(reason, public):
            return decider.failed(job, now, reason, cause, public=public)
        case Failed(error, public, retry, jitter):
            return decider.run_lost(job, now, error, cause, retry=retry, jitter=jitter, public=public)
        case Crashed(error, public, jitter):
            return decider.crashed(job, now, error, cause, jitter=jitter, public=public)
        case NoRoom(error, public, jitter):
            return decider.no_room(job, now, error, cause, jitter=jitter, public=public)

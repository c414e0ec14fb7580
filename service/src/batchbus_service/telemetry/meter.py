"""What is worth measuring of a process, as a port in the engine's own words."""

from __future__ import annotations

from typing import Final, Literal

from batchbus_service.domain.job import Job
from batchbus_strategies import Phase

__all__ = ["MEASURES_NOTHING", "Meter", "RunEnd"]

RunEnd = Literal["done", "failed", "canceled", "retried", "released", "lost"]
"""How a run of one phase ended. `retried`: with an error, and it is tried again. `released`: its worker stopped.
`lost`: its lease was given to another worker, or the database did not answer."""


class Meter:
    """Measures nothing; what does, overrides these methods. They are called often, so they are to be quick."""

    def wrote(self, old: Job | None, new: Job) -> None:
        """This process has made a job, or has changed it from `old`."""

    def ran(self, job_type: str, phase: Phase, outcome: RunEnd, seconds: float) -> None:
        """A run of one phase has ended here."""

    def advanced(self, job_type: str, phase: Phase, records: int, row_errors: int) -> None:
        """A run has done so many more records, and come across so many that it could not use."""

    def rescued(self, job_type: str) -> None:
        """The rescuer has found a job that someone else should have looked after."""

    def took_trigger(self, event_type: str, lag: float | None) -> None:
        """A trigger was taken off the bus, `lag` seconds after the time that it names, by its publisher's clock."""

    def published(self, lag: float) -> None:
        """The broker has confirmed a lifecycle event, `lag` seconds after it happened."""

    def parked(self) -> None:
        """A message that could not be used was parked."""

    def rejected(self, reason: str) -> None:
        """A trigger could not be carried out; `reason` is the code of `batch.rejected`."""

    def asked_store(self, operation: str, seconds: float, *, failed: bool) -> None:
        """The job store was called. `failed`: it could not be reached, or did not answer."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `seconds` until its answer began. `route` is a path's template."""

    def login_failed(self, reason: Literal["credentials", "limit"]) -> None:
        """Someone was not let in: with the wrong password, or after too many of those."""


MEASURES_NOTHING: Final = Meter()

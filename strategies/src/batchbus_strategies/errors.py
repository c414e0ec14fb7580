"""How a job ends before it is done: what strategies raise, and what a `JobRun` raises in them."""

from __future__ import annotations

__all__ = ["FileMissing", "JobRefused", "LeaseLost", "RunCanceled", "StrategyError"]


class StrategyError(Exception):
    """A job cannot go on, and trying again would not help. The message is shown to the user who made the job.

    Events and logs have other readers. They get the message if it is `public`: then nothing in it may come from a file or a
    record. Else they get `without_values`, or that there is a message in the job.
    """

    public: bool = False
    """Whether the message says nothing that comes from a cell of a file or from a record."""
    without_values: str | None = None
    """The message without what comes from there, for one that is not public."""

    def __init__(self, *args: object, public: bool | None = None, without_values: str | None = None) -> None:
        super().__init__(*args)
        if public is not None:
            self.public = public
        if without_values is not None:
            self.without_values = without_values

    def for_events(self) -> str:
        """What events and logs say of it."""
        if self.without_values is not None:
            return self.without_values
        return str(self) if self.public else f"{type(self).__name__}: the job has the message"


class JobRefused(StrategyError):
    """The job is refused before it exists; over HTTP a 400, over the bus `batch.failed`. Raised by `prepare`.

    The message is for people. `field` names the part of the context at fault, such as `fileKey`. The message is about the
    request, and so is public unless `public` or `without_values` says otherwise.
    """

    public = True
    """As with every `StrategyError`."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        public: bool | None = None,
        without_values: str | None = None,
    ) -> None:
        super().__init__(message, public=public, without_values=without_values)
        self.field = field
        """The part of the context at fault, or None."""


class RunCanceled(BaseException):
    """Someone canceled the job. Raised by the `JobRun`; let it pass."""


class LeaseLost(BaseException):
    """The job was given to another worker. Raised by the `JobRun`; let it pass, and write nothing any more."""


class FileMissing(StrategyError):
    """There is no file with that key in the file store."""

    public = True
    """As with every `StrategyError`."""

"""Every error that a caller of the service can meet, with its code, and what to do about it.

BatchbusError
├── UnknownThing            there is nothing with that id
│   ├── UnknownJob
│   ├── UnknownType
│   │   └── UnservedType
│   ├── UnknownReplay
│   └── UnknownParked
├── NotAllowed              it is there, and cannot be done to it now
│   ├── ReplayRefused
│   └── ParkedRefused
├── Conflict                the id is taken by something else
├── Busy                    nothing is wrong with the request; try again in a moment
│   ├── Behind
│   └── TryLater
│       └── TooManyJobs
├── TooManyBytes            a user has as much in the file store as they may
├── ProviderUnavailable     the provider that signs people in cannot be asked
├── SignInRefused           the provider refused the sign-in, or what it says gives no right to one
├── BadUser                 a user's data cannot be right
├── StoreError              between batchbus and its database
│   ├── StoreUnavailable
│   ├── JobExists
│   ├── UserExists
│   ├── NotStorable
│   │   └── TooLarge
│   └── UnreadableDocument
│       └── UnreadableJob
└── CannotStart             a process of batchbus cannot begin
    ├── BadSettings
    ├── CannotListen
    └── EmbeddedMongoError  with errors of its own, in `storage.mongo.embedded`

`BusError`, `EventError` and `StrategyError`, with what derives from them, belong to the packages that others use too.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadSettings",
    "BadUser",
    "BatchbusError",
    "Behind",
    "Busy",
    "CannotListen",
    "CannotStart",
    "Conflict",
    "EmbeddedMongoError",
    "JobExists",
    "NotAllowed",
    "NotStorable",
    "ParkedRefused",
    "ProviderUnavailable",
    "ReplayRefused",
    "SignInRefused",
    "StoreError",
    "StoreUnavailable",
    "TooLarge",
    "TooManyBytes",
    "TooManyJobs",
    "TryLater",
    "UnknownJob",
    "UnknownParked",
    "UnknownReplay",
    "UnknownThing",
    "UnknownType",
    "UnreadableDocument",
    "UnreadableJob",
    "UnservedType",
    "UserExists",
]


class BatchbusError(Exception):
    """Something that batchbus refuses or cannot do. The message says what, for people, and what they can do about it."""

    code: ClassVar[str] = "unknown_error"
    """A word for programs: the `reason` of `batch.rejected`; `http.server.errors` has what it is over HTTP."""


class UnknownThing(BatchbusError):
    """There is nothing with that id."""

    code = "not_found"


class UnknownJob(UnknownThing):
    """There is no job with that id."""

    code = "unknown_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Batch job with id {job_id} was not found")
        self.job_id = job_id


class UnknownType(UnknownThing):
    """No strategy of this process serves the batch type."""

    code = "unknown_type"

    def __init__(self, job_type: str) -> None:
        super().__init__(f"Unable to find a BatchJob strategy with the type {job_type}")


class UnservedType(UnknownType):
    """No process that lives runs jobs of the batch type."""

    def __init__(self, job_type: str) -> None:
        UnknownThing.__init__(
            self, f"No process serves the batch type {job_type}, and the trigger asks for one that does"
        )


class UnknownReplay(UnknownThing):
    """There is no replay with that id."""

    def __init__(self, replay_id: str) -> None:
        super().__init__(f"Replay with id {replay_id[:100]} was not found")


class UnknownParked(UnknownThing):
    """There is no parked message with that id."""

    def __init__(self, parked_id: str) -> None:
        super().__init__(f"Parked message with id {parked_id[:100]} was not found")


class NotAllowed(BatchbusError):
    """What was asked for is not possible where the thing is. The message says why."""

    code = "not_allowed"


class ReplayRefused(NotAllowed):
    """That cannot be done to the replay now. The message says why, and what can."""


class ParkedRefused(NotAllowed):
    """That cannot be done to the message now. The message says why."""


class Conflict(BatchbusError):
    """There is a job with that id, but it was made by another request."""

    code = "conflict"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is a batch job {job_id} already, and it was made by another request")
        self.job_id = job_id


class Busy(BatchbusError):
    """Nothing is wrong with the request. It may be sent again after `seconds`."""

    code = "unavailable"
    seconds: int


class Behind(Busy):
    """The database is behind: more new jobs would make it worse."""

    seconds = 5

    def __init__(self) -> None:
        super().__init__("So many jobs have been made that the database is behind; try again in a moment")


class TryLater(Busy):
    """One user or address has, or asks for, as much as it may at the moment."""

    code = "too_many_requests"

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class TooManyJobs(TryLater):
    """The user or service that asks for the job has as many unfinished ones as it may."""

    code = "too_many_jobs"

    def __init__(self, most: int, seconds: int) -> None:
        super().__init__(
            f"You have {most:,} batch jobs that have not ended, which is the most that one user or service may have "
            "(BATCHBUS_MAX_UNFINISHED_JOBS): wait until some have ended, or cancel some",
            seconds,
        )


class TooManyBytes(BatchbusError):
    """The user's uploads would be larger than they may be."""

    code = "not_allowed"

    def __init__(self, most: int, _seconds: int) -> None:
        super().__init__(
            f"Your uploads would have more than {most:,} bytes in all, which is the most that one user may keep "
            "(BATCHBUS_MAX_USER_UPLOAD_BYTES): delete some that you do not need any more"
        )


class ProviderUnavailable(BatchbusError):
    """The provider of OpenID Connect cannot be asked, or does not answer as it should."""

    code = "unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The provider that signs people in is not available: {reason}")


class SignInRefused(BatchbusError):
    """Somebody came back from the provider, and is not let in. The message says why."""

    code = "not_allowed"


class BadUser(BatchbusError, ValueError):
    """That cannot be a user. The message says what is wrong."""

    code = "invalid_data"


class StoreError(BatchbusError):
    """Something went wrong between batchbus and its database."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, did not answer in time, or refuses. A write may or may not have happened."""

    code = "unavailable"


class JobExists(StoreError):
    """There is a job with that id already."""


class UserExists(StoreError):
    """There is a user with that email address already."""


class NotStorable(StoreError):
    """The job holds something that the database cannot keep; nothing was written. The message says what."""

    code = "not_allowed"


class TooLarge(NotStorable):
    """The job document would be larger than the database takes; nothing was written."""


class UnreadableDocument(StoreError, ValueError):
    """A document is not of a form that this version of batchbus knows. It is left alone."""

    code = "unavailable"

    def __init__(self, what: str, document_id: str, reason: str) -> None:
        super().__init__(f"The document of {what} {document_id} cannot be read: {reason}")
        self.document_id = document_id


class UnreadableJob(UnreadableDocument):
    """The job's document is not of a form that this version of batchbus knows. It is left alone."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__("batch job", job_id, reason)
        self.job_id = job_id


class CannotStart(BatchbusError):
    """A process of batchbus cannot begin. The message says why, and what to set."""


class BadSettings(CannotStart):
    """A setting has a value that it cannot have. The message names the variable and says what it takes."""


class CannotListen(CannotStart):
    """The address cannot be listened on. The message says why, and what to set."""


class EmbeddedMongoError(CannotStart):
    """The embedded database cannot be used."""

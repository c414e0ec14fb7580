"""What stores raise, whatever they keep things in: nothing of a driver's own gets past a store."""

from __future__ import annotations

__all__ = [
    "JobExists",
    "NotStorable",
    "StoreError",
    "StoreUnavailable",
    "TooLarge",
    "UnreadableDocument",
    "UnreadableJob",
    "UserExists",
]


class StoreError(Exception):
    """Something went wrong between batchbus and its database."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, did not answer in time, or refuses. A write may or may not have happened."""


class JobExists(StoreError):
    """There is a job with that id already."""


class UserExists(StoreError):
    """There is a user with that email address already."""


class NotStorable(StoreError):
    """The job holds something that the database cannot keep; nothing was written. The message says what."""


class TooLarge(NotStorable):
    """The job document would be larger than the database takes; nothing was written."""


class UnreadableDocument(StoreError, ValueError):
    """A document is not of a form that this version of batchbus knows. It is left alone."""

    def __init__(self, what: str, document_id: str, reason: str) -> None:
        super().__init__(f"The document of {what} {document_id} cannot be read: {reason}")
        self.document_id = document_id


class UnreadableJob(UnreadableDocument):
    """The job's document is not of a form that this version of batchbus knows. It is left alone."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__("batch job", job_id, reason)
        self.job_id = job_id

"""What the API answers, as models: they make the answers of batchbus's own routes, and describe all in the OpenAPI document.

Jobs and lists of jobs, whose fields the caller chooses, are made in `wire`, as Medusa makes them. A test sends requests
of every kind and compares each answer with its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from batchbus_service.access import Role
from batchbus_service.domain.job import Status
from batchbus_service.http.medusa.times import timestamp
from batchbus_service.http.server.errors import ApiJson
from batchbus_strategies.strategy import Document

__all__ = [
    "CheckAgain",
    "Confirmation",
    "Deleted",
    "DownloadUrl",
    "FileKey",
    "JobList",
    "Live",
    "NewJob",
    "OneJob",
    "OneUser",
    "Ready",
    "Refusal",
    "SignIn",
    "SignedIn",
    "UploadList",
    "UploadedFile",
    "User",
]

AnyObject = Document

Time = Annotated[
    datetime,
    PlainSerializer(timestamp),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""ISO 8601 in UTC with milliseconds and a Z."""

Number = Annotated[
    float,
    PlainSerializer(lambda number: int(number) if number == int(number) else number),
    WithJsonSchema({"type": "number"}, mode="serialization"),
]
"""A whole number is written without a point."""


def one_of(values: type[StrEnum]) -> Any:
    """The enumeration is written inline, since two of the same name would differ by their modules alone."""
    return Field(json_schema_extra={"enum": [str(word) for word in values]})


class Answer(BaseModel):
    """An object that has these fields and no others."""

    model_config = ConfigDict(extra="forbid")

    def response(self, status: int = 200, *, headers: Mapping[str, str] | None = None) -> ApiJson:
        """A field that was not given does not appear."""
        return ApiJson(self.model_dump(exclude_unset=True), status_code=status, headers=dict(headers or {}))


class Refusal(Answer):
    """Why a request is refused."""

    type: str = Field(examples=["invalid_data"])
    """A word for programs."""
    message: str
    """For people."""
    code: str | None = None


class Page(Answer):
    count: int
    """How many there are in all."""
    offset: Number
    limit: Number


class Deleted(Answer):
    id: str
    object: str
    deleted: Literal[True]


# -- batch jobs ---------------------------------------------------------------------------------------------------


class Job(Answer):
    id: str
    type: str
    status: Status
    dry_run: bool
    context: AnyObject
    result: AnyObject | None
    created_by: str
    created_at: Time
    updated_at: Time
    deleted_at: Time | None
    pre_processed_at: Time | None
    confirmed_at: Time | None
    processing_at: Time | None
    completed_at: Time | None
    failed_at: Time | None
    canceled_at: Time | None


class User(Answer):
    id: str
    email: str
    first_name: str | None
    last_name: str | None
    role: Role
    metadata: AnyObject | None
    created_at: Time
    updated_at: Time
    deleted_at: Time | None


class ListedJob(Answer):
    """Its id, its status and when it was made, and what `fields` and `expand` ask for."""

    id: str
    status: Status
    dry_run: bool
    created_at: Time
    type: str | None = None
    context: AnyObject | None = None
    result: AnyObject | None = None
    created_by: str | None = None
    updated_at: Time | None = None
    deleted_at: Time | None = None
    pre_processed_at: Time | None = None
    confirmed_at: Time | None = None
    processing_at: Time | None = None
    completed_at: Time | None = None
    failed_at: Time | None = None
    canceled_at: Time | None = None
    created_by_user: User | None = None


class NewJob(Answer):
    type: str
    context: AnyObject
    """What the type takes: see `GET /admin/batch-types`."""
    dry_run: bool = False
    """Look at the job, and wait for a confirmation."""


class Confirmation(BaseModel):
    """What else a client sends is left alone."""

    plan_digest: str | None = Field(None, min_length=1, max_length=128)
    """Of the plan that is confirmed: the job's `result.plan_digest`, as it was shown."""


class CheckAgain(Answer):
    file_key: str | None = Field(None, alias="fileKey")
    """Another file, which the caller may read."""


class OneJob(Answer):
    batch_job: Job


class JobList(Page):
    batch_jobs: list[ListedJob]


# -- files ----------------------------------------------------------------------------------------------------------


class UploadedFile(Answer):
    url: str
    key: str


class UploadList(Answer):
    uploads: list[UploadedFile]


class FileKey(Answer):
    file_key: str


class FileGrant(Answer):
    file_key: str
    services: list[str]
    """The names of the broker's users whose jobs may read the file. None may, if the list is empty."""


class DownloadUrl(Answer):
    download_url: str


# -- users and their credentials ------------------------------------------------------------------------------------


class SignIn(Answer):
    email: str
    password: str


class SignedIn(Answer):
    access_token: str
    """A JWT, for a day."""


class OneUser(Answer):
    user: User


# -- health ---------------------------------------------------------------------------------------------------------


class Live(Answer):
    status: Literal["live"]


class Ready(Answer):
    status: Literal["ready", "not ready"]
    checks: dict[str, str]

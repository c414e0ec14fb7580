"""The data of every event, as pydantic models with their wire names, and the reading of triggers.

The models are the one source of the JSON Schemas and the AsyncAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema

from batchbus_events.event import Event, FieldError, InvalidEvent, Json, check_schema_version
from batchbus_events.ids import JOB_ID, derived_job_id
from batchbus_events.topics import BATCH_TYPE

__all__ = [
    "EVENTS",
    "TERMINAL",
    "TRIGGERS",
    "CancelBatch",
    "CanceledData",
    "ConfirmBatch",
    "ConfirmData",
    "CreateBatch",
    "CreateData",
    "EventType",
    "FailedData",
    "JobData",
    "PreProcessedData",
    "ProgressData",
    "ReasonData",
    "RejectedData",
    "RejectionReason",
    "Status",
    "Trigger",
    "UpdatedData",
    "parse_trigger",
    "requested_job_id",
]

TERMINAL: Final = frozenset({"batch.completed", "batch.failed", "batch.canceled"})
"""The events that end a job. (An operator's retry can open it again.)"""

Status = Literal["created", "pre_processed", "confirmed", "processing", "completed", "failed", "canceled"]
RejectionReason = Literal["unknown_job", "not_allowed", "conflict", "unknown_type", "malformed", "too_many_jobs"]

JobId = Annotated[str, Field(pattern=f"^{JOB_ID.pattern}$", description="The job's id.")]
BatchType = Annotated[str, Field(pattern=f"^{BATCH_TYPE.pattern}$", description="The batch type.")]
Count = Annotated[int, Field(ge=0)]
Progress = Annotated[float, Field(ge=0, le=1)]


class _Request(BaseModel):
    # A misspelt `dry_run` that is ignored would run the job in earnest, so unknown keys are refused.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Fact(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class CreateData(_Request):
    """What to run, and on what."""

    type: BatchType
    context: Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object"})] = Field(
        {}, description="What the batch type wants to know; checked by its strategy."
    )
    dry_run: bool = Field(
        False, description="Whether to stop after pre-processing, until the job is confirmed or canceled."
    )
    created_by: str | None = Field(
        None, min_length=1, max_length=255, description="A label for whoever asked. Grants nothing."
    )
    idempotency_key: str | None = Field(
        None, min_length=1, max_length=255, description="Requests of one publisher with the same key make one job."
    )

    require_type: bool = Field(
        False,
        description="Whether to reject the trigger, as `unknown_type`, if no process serves the batch type at the moment. "
        "Without it the job waits for one. Since 1.1.",
    )


class ReasonData(_Request):
    """Why, in words."""

    reason: str | None = Field(None, max_length=1024, description="Why, in words.")


class ConfirmData(ReasonData):
    """Which plan is confirmed, and why."""

    plan_digest: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="The `plan_digest` of the plan that is confirmed, as `batch.pre_processed` has it. The confirmation is "
        "rejected if the job has another plan by now. Since 1.1.",
    )


class JobData(_Fact):
    """Where a job is. The numbers of its result are there as soon as they are known; further keys may be added."""

    id: JobId
    type: BatchType
    status: Status = Field(title="JobStatus", description="The job's status after this event.")
    dry_run: bool = Field(description="Whether the job waits for a confirmation after pre-processing.")
    created_by: str | None = Field(description="Who created the job.")
    run: Count = Field(description="How often a worker has claimed the job so far.")
    count: Count | None = Field(None, description="How many records there are in all, once that is known.")
    advancement_count: Count | None = Field(None, description="How many records are done.")
    progress: Progress | None = Field(None, description="How much of the current phase is done.")
    errors: Count | None = Field(None, description="How many errors there have been.")
    left_out: Count | None = Field(
        None, description="How many records a completed job has left out; absent if it has left out none."
    )
    plan_digest: str | None = Field(
        None, description="The digest of the job's plan, if its type makes one: what a confirmation may name."
    )
    by: str | None = Field(
        None,
        description="Who asked for this: a user's id, or `bus:` and who published the trigger: a user of the broker, or "
        "`unvouched:` and the trigger's source. Absent if nobody did.",
    )


class PreProcessedData(JobData):
    """Where a job is that was pre-processed."""

    refused_confirmation: dict[str, str] | None = Field(
        None,
        description="The confirmation that had come early and is not honoured, as `{causationid, message}`; its sender "
        "gets `batch.rejected`.",
    )


class UpdatedData(JobData):
    """Where a job is whose status has not changed, and what has."""

    error: str | None = Field(None, description="What ended its last run, if that is what has happened.")
    attempt: Count | None = Field(None, description="How many runs in a row have ended badly.")
    unserved: bool | None = Field(
        None, description="True if the job waits, and no process serves its batch type; said once, after five minutes."
    )
    reason: str | None = Field(None, description="Why the job waits, in words.")


class FailedData(JobData):
    """Where a job is that failed, and why."""

    error: str = Field(description="What made the job fail.")


class CanceledData(JobData):
    """Where a job is that was canceled."""

    reason: str | None = Field(None, description="Why it was canceled, if someone said so.")


class ProgressData(_Fact):
    """How far one run of one phase is. `progress` never goes back within a run."""

    id: JobId
    type: BatchType
    phase: Literal["pre_process", "process"] = Field(title="JobPhase", description="The phase that is running.")
    run: Count = Field(description="Which run: every claim of the job by a worker counts one.")
    count: Count | None = Field(None, description="How many records there are in all, once that is known.")
    advancement_count: Count = Field(description="How many records are done.")
    progress: Progress | None = Field(None, description="How much of the phase is done, once that can be told.")
    rate: Annotated[float, Field(ge=0)] | None = Field(None, description="Records per second, of late.")
    seconds_left: Annotated[float, Field(ge=0)] | None = Field(None, description="Seconds that this phase still takes.")
    errors: Count = Field(0, description="How many errors there have been.")
    message: str | None = Field(None, description="What the run is doing, in words.")


class RejectedData(_Fact):
    """Why a trigger was not carried out. The trigger is named by `causationid`."""

    id: str | None = Field(None, description="The job that the trigger named.")
    trigger: str = Field(description="The trigger's type, such as `batch.confirmed`.")
    reason: RejectionReason = Field(
        title="RejectionReason",
        description="`unknown_job`: there is no such job. `not_allowed`: its status does not allow it. "
        "`conflict`: the job exists, from another request. `unknown_type`: no process serves the batch type, and the trigger "
        "asked for one that does. `malformed`: it is no trigger that can be used; it is parked, too. `too_many_jobs`: its publisher has as many unfinished jobs as it may.",
    )
    message: str = Field(description="The reason in words.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One kind of event: its wire name, its data, and the version of its data."""

    name: str
    model: type[BaseModel]
    summary: str
    kind: Literal["trigger", "event"] = "event"
    major: int = 1
    minor: int = 0
    since: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The minor version that brought a field, for fields that version 0 did not have."""
    in_sequence: bool = True
    """Whether it is stored in the job's history and counted by `sequence`."""

    @property
    def dataschema(self) -> str:
        """What an event of this version carries as `dataschema`."""
        return self._schema(self.minor)

    def schema_for(self, data: Mapping[str, Json]) -> str:
        """The oldest version that has these fields, so that processes which know no newer one read what they can."""
        return self._schema(max((self.since.get(name, 0) for name in data), default=0))

    def _schema(self, minor: int) -> str:
        return f"urn:batchbus:schema:{self.kind}:{self.name}:{self.major}.{minor}"


def _registry(*types: EventType) -> Mapping[str, EventType]:
    return MappingProxyType({event_type.name: event_type for event_type in types})


def _trigger(
    name: str, model: type[BaseModel], summary: str, *, minor: int = 0, since: Mapping[str, int] | None = None
) -> EventType:
    fields = MappingProxyType(dict(since or {}))
    return EventType(
        name=name, model=model, summary=summary, kind="trigger", minor=minor, since=fields, in_sequence=False
    )


TRIGGERS: Final = _registry(
    _trigger(
        "batch.created",
        CreateData,
        "Create a job. The subject may name its id.",
        minor=1,
        since={"require_type": 1},
    ),
    _trigger(
        "batch.confirmed",
        ConfirmData,
        "Let a dry run go on. The subject names the job.",
        minor=1,
        since={"plan_digest": 1},
    ),
    _trigger("batch.canceled", ReasonData, "Cancel a job. The subject names it."),
)
"""What other services publish on `batch.triggers`, by wire name."""

EVENTS: Final = _registry(
    EventType(name="batch.created", model=JobData, summary="A job was accepted and persisted."),
    EventType(name="batch.pre_processed", model=PreProcessedData, summary="It is known what the job will do."),
    EventType(name="batch.confirmed", model=JobData, summary="The job may be processed."),
    EventType(name="batch.processing", model=JobData, summary="A worker processes the job."),
    EventType(name="batch.completed", model=JobData, summary="The job is done."),
    EventType(name="batch.failed", model=FailedData, summary="The job failed."),
    EventType(name="batch.canceled", model=CanceledData, summary="The job was canceled."),
    EventType(
        name="batch.updated", model=UpdatedData, summary="The job's context or result changed, and its status did not."
    ),
    EventType(name="batch.progress", model=ProgressData, summary="How far a run is.", in_sequence=False),
    EventType(name="batch.rejected", model=RejectedData, summary="A trigger cannot be carried out.", in_sequence=False),
)
"""What batchbus publishes on `batch.events`, by wire name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBatch:
    """The trigger `batch.created`, read."""

    job_id: str | None
    """The event's subject."""
    type: str
    context: Mapping[str, Json]
    dry_run: bool
    created_by: str | None
    idempotency_key: str | None
    require_type: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmBatch:
    """The trigger `batch.confirmed`, read."""

    job_id: str
    reason: str | None
    plan_digest: str | None = None
    """Of the plan that is confirmed, if it names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBatch:
    """The trigger `batch.canceled`, read."""

    job_id: str
    reason: str | None


Trigger = CreateBatch | ConfirmBatch | CancelBatch


def parse_trigger(event: Event) -> Trigger:
    """What a trigger asks for.

    Raises: `InvalidEvent` with everything that is wrong, `NewerSchema` if a newer process should read it.
    """
    event_type = TRIGGERS.get(event.type)
    if event_type is None:
        message = f"is {event.type}; a trigger is one of {', '.join(TRIGGERS)}"
        raise InvalidEvent([FieldError("type", "unknown_type", message)])
    check_schema_version(event, event_type.dataschema)
    errors = _subject_errors(event)
    data: BaseModel | None = None
    try:
        data = event_type.model.model_validate(event.data)
    except ValidationError as error:
        errors.extend(_data_errors(error))
    if errors:
        raise InvalidEvent(errors)
    if isinstance(data, CreateData):
        return CreateBatch(
            job_id=event.subject,
            type=data.type,
            context=data.context,
            dry_run=data.dry_run,
            created_by=data.created_by,
            idempotency_key=data.idempotency_key,
            require_type=data.require_type,
        )
    assert isinstance(data, ReasonData)
    assert event.subject is not None
    if isinstance(data, ConfirmData):
        return ConfirmBatch(job_id=event.subject, reason=data.reason, plan_digest=data.plan_digest)
    return CancelBatch(job_id=event.subject, reason=data.reason)


def requested_job_id(event: Event, request: CreateBatch, user: str | None, *, unvouched: bool = False) -> str:
    """The id of the job that a trigger asks for: from its key if it has one, else its subject, else from the event.

    `user` is who published it, where the broker vouches for it; else the event's source stands for that. `unvouched`: there
    is a broker, and it does not vouch. Then the keys of a source are apart from those of a user with the same name.
    """
    if request.idempotency_key is not None and unvouched and user is None:
        return derived_job_id("unvouched-key", event.source, request.idempotency_key)
    if request.idempotency_key is not None:
        return derived_job_id("bus-key", user or event.source, request.idempotency_key)
    return request.job_id or derived_job_id("event", event.source, event.id)


def _subject_errors(event: Event) -> list[FieldError]:
    if event.subject is None:
        return (
            [] if event.type == "batch.created" else [FieldError("subject", "missing", "is missing; it names the job")]
        )
    if JOB_ID.fullmatch(event.subject):
        return []
    message = "is no job id: batch_ and 26 characters of Crockford base 32, in upper case"
    return [FieldError("subject", "bad_job_id", message)]


def _data_errors(error: ValidationError) -> list[FieldError]:
    return [
        FieldError(".".join(("data", *(str(part)[:64] for part in found["loc"]))), found["type"], found["msg"])
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]

"""What the operators' routes answer, and those about what Medusa does not have, as models. Medusa's own are in `medusa.schemas`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from batchbus_service.access import Scope
from batchbus_service.domain.parked import State as ParkedState
from batchbus_service.domain.replay import State as ReplayState
from batchbus_service.http.medusa.schemas import Answer, AnyObject, Page, Time, User, one_of

__all__ = [
    "AuditEntry",
    "BatchType",
    "BatchTypeList",
    "DiscardedNumber",
    "ForgottenFiles",
    "Found",
    "History",
    "HistoryEvent",
    "NewTrigger",
    "OneParkedMessage",
    "OneReplay",
    "OneToken",
    "OutcomePage",
    "ParkedMessage",
    "ParkedMessageList",
    "PlanPage",
    "Replay",
    "ReplayList",
    "RequeuedNumber",
    "SentTrigger",
    "SignInMethods",
    "TemplateColumn",
    "TemplateColumnList",
    "Token",
    "TokenList",
    "Trigger",
    "UserList",
]


class HistoryEvent(Answer):
    sequence: int
    id: str
    type: str
    time: Time
    data: AnyObject
    causationid: str | None
    traceparent: str | None
    published: bool
    """Whether the broker has confirmed it."""


class History(Answer):
    history: list[HistoryEvent]
    why: str
    """Why the job is where it is."""
    way_out: str | None
    plan: bool
    """Whether there is a plan to read, row by row."""
    outcome: bool
    """Whether it can be read what became of each record."""
    error_file: str | None
    """The name of the file with what was not applied, which `error-file` answers with; None if there is none."""


class PlanPage(Page):
    plan: list[object]
    counts: dict[str, int] | None
    """How many rows there are of each kind, in all."""
    plan_digest: str | None
    """What a confirmation of this plan may carry."""


class OutcomePage(Page):
    outcome: list[object]
    counts: dict[str, int] | None
    """Of how many records became what, in all."""


class ForgottenFiles(Answer):
    id: str
    """Of the job."""
    files_removed: int


class Found(Answer):
    identifier: str
    origin: str


class BatchType(Found):
    type: str
    overrides: list[Found]
    context_schema: AnyObject
    """JSON Schema of a context."""
    file_fields: list[str]
    """Fields of the context that name files."""


class BatchTypeList(Answer):
    batch_types: list[BatchType]


class TemplateColumn(Answer):
    name: str
    says: str
    """What its cells hold, in words."""
    example: str


class TemplateColumnList(Answer):
    columns: list[TemplateColumn]
    """In the order of the template."""


class UserList(Page):
    users: list[User]


class Token(Answer):
    id: str
    user_id: str
    email: str | None
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class OneToken(Answer):
    token: Token
    secret: str
    """Shown here and never again."""


class TokenList(Page):
    tokens: list[Token]


class NewTrigger(Answer):
    type: Literal["batch.created", "batch.confirmed", "batch.canceled"]
    subject: str | None = None
    """The id of a job."""
    data: AnyObject = Field(default={})
    id: str | None = None
    """Of the event: one that is sent again changes nothing."""


class Trigger(Answer):
    id: str
    type: str
    source: str
    subject: str | None


class SentTrigger(Answer):
    event: Trigger


class Replay(Answer):
    id: str
    status: Annotated[str, one_of(ReplayState)]
    selection: AnyObject
    destination: AnyObject
    reason: str
    rate: int
    plan: AnyObject | None
    published: int
    repeated: int
    trouble: str | None
    created_by: str
    created_at: Time
    started_by: str | None
    started_at: Time | None
    ended_at: Time | None
    audit: list[AnyObject]


class OneReplay(Answer):
    replay: Replay


class ReplayList(Page):
    replays: list[Replay]


class AuditEntry(Answer):
    at: Time
    by: str
    what: str
    reason: str | None
    details: AnyObject


class ParkedMessage(Answer):
    id: str
    state: Annotated[str, one_of(ParkedState)]
    reason: str
    times: int
    first_failed_at: Time
    last_failed_at: Time
    routing_key: str
    message_id: str | None
    content_type: str
    headers: AnyObject
    user_id: str | None
    size: int
    audit: list[AuditEntry]
    body: str | None = None
    body_base64: str | None = None


class OneParkedMessage(Answer):
    parked: ParkedMessage


class ParkedMessageList(Page):
    parked: list[ParkedMessage]


class RequeuedNumber(Answer):
    requeued: int


class DiscardedNumber(Answer):
    discarded: int


class SignInMethods(Answer):
    """How one can sign in, besides with a password or a token."""

    oidc: str | None = Field(description="What the provider of OpenID Connect is called; null if there is none.")

"""What the routes of one's own account and of the audit trail take and answer."""

from __future__ import annotations

from batchbus_service.http.medusa.schemas import Answer, Page, Time
from batchbus_service.http.operator.schemas import Token
from batchbus_service.http.server.forms import Form

__all__ = ["AuditEntryShown", "AuditList", "NewPassword", "OwnSession", "OwnSessionList", "OwnTokenList"]


class AuditEntryShown(Answer):
    id: str
    at: Time
    what: str
    by: str | None
    address: str
    about: str | None
    details: dict[str, str | int | list[str]]


class AuditList(Page):
    audit: list[AuditEntryShown]


class OwnSession(Answer):
    id: str
    kind: str
    """`cookie` or `bearer`."""
    created_at: Time
    expires_at: Time
    current: bool
    """Whether this request came with it."""


class OwnSessionList(Answer):
    sessions: list[OwnSession]


class OwnTokenList(Page):
    tokens: list[Token]


class NewPassword(Form):
    password: str
    """The one that holds."""
    new_password: str

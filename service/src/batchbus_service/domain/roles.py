"""What users are, and what credentials allow. It brings nothing with it, so that client commands start quickly."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Role", "Scope"]


class Scope(StrEnum):
    """What a credential allows."""

    JOBS_READ = "jobs:read"
    """See one's own jobs."""
    JOBS_WRITE = "jobs:write"
    """Create, confirm, cancel and retry one's own jobs; upload files for them."""
    OPERATOR = "operator"
    """See and touch everyone's jobs, those made over the bus included, and the events of all of them."""
    USERS = "users"
    """Add, change and remove users, make and revoke their tokens, and read the audit trail."""


class Role(StrEnum):
    """What a user is."""

    ADMIN = "admin"
    MEMBER = "member"
    DEVELOPER = "developer"
    OPERATOR = "operator"

    @property
    def scopes(self) -> frozenset[Scope]:
        """All that the user may do; a token may allow less."""
        own = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE})
        match self:
            case Role.ADMIN:
                return own | {Scope.OPERATOR, Scope.USERS}
            case Role.OPERATOR:
                return own | {Scope.OPERATOR}
            case _:
                return own

"""Who may use the HTTP API, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from batchbus_service.domain.roles import Role, Scope
from batchbus_strategies import Json

__all__ = ["ApiToken", "Principal", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone who may use the HTTP API. Times are UTC."""

    id: str
    """`usr_` and a ULID."""
    email: str
    role: Role
    created_at: datetime
    updated_at: datetime
    generation: int = 0
    """Raised by a new password: bearer tokens of an earlier generation are void."""
    first_name: str | None = None
    last_name: str | None = None
    metadata: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What is known of a token, which is all but the token. Times are UTC."""

    id: str
    """`tok_` and a ULID: it names the token and grants nothing."""
    user_id: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    """None: it does not end by itself."""
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None

    def valid(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what the credential they showed allows."""

    user: User
    scopes: frozenset[Scope]

    @property
    def sees_all(self) -> bool:
        return Scope.OPERATOR in self.scopes

    @property
    def is_privileged(self) -> bool:
        """Whether the credential allows more than what is one's own: what comes with it is written down."""
        return not self.scopes.isdisjoint({Scope.OPERATOR, Scope.USERS})

"""Users of the HTTP API: who they are, how they show it, and what that allows.

Passwords are kept as argon2id hashes; tokens and session keys, which are 256 bits of chance, as SHA-256 hashes. Nothing
in the database gives anyone access, and since it is a hash that is looked up, how long that takes tells nothing about
the secret.
"""

from batchbus_service.access.accounts import Users
from batchbus_service.access.logins import FailureLimits, Logins
from batchbus_service.access.sessions import SESSION_HOURS, Sessions
from batchbus_service.access.tokens import TOKEN_DAYS, NewToken, Tokens
from batchbus_service.domain.errors import BadUser, TryLater, UserExists
from batchbus_service.domain.principals import ApiToken, Principal, User
from batchbus_service.domain.roles import Role, Scope

__all__ = [
    "SESSION_HOURS",
    "TOKEN_DAYS",
    "ApiToken",
    "BadUser",
    "FailureLimits",
    "Logins",
    "NewToken",
    "Principal",
    "Role",
    "Scope",
    "Sessions",
    "Tokens",
    "TryLater",
    "User",
    "UserExists",
    "Users",
]

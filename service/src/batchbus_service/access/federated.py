"""Users who sign in through a provider: which user somebody is, and what role the provider's claims give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from batchbus_service.access.accounts import Users
from batchbus_service.access.provider import Claims
from batchbus_service.access.secrets import digest
from batchbus_service.domain.errors import BadUser, SignInRefused, UserExists
from batchbus_service.domain.ports import IdentityStore
from batchbus_service.domain.principals import User
from batchbus_service.domain.roles import Role

__all__ = ["EVERYONE", "FederatedUsers"]

EVERYONE: Final = "*"
_MOST_FIRST: Final = (Role.ADMIN, Role.OPERATOR, Role.DEVELOPER, Role.MEMBER)


class FederatedUsers:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, users: Users, identities: IdentityStore, issuer: str, *, role_claim: str | None, roles: Mapping[str, Role]
    ) -> None:
        """`roles`: what values of the claim mean, and `*` for everyone who signs in. Without any, roles stay as they are."""
        self._users = users
        self._identities = identities
        self._issuer = issuer
        self._role_claim = role_claim
        self._roles = roles

    async def user_of(self, claims: Claims) -> User:
        """The user who has signed in. If there is none yet, one is added, provided that the claims give a role.

        The first sign-in of a subject is that of the user with the verified email address. Later ones go by the subject alone.
        Raises: `SignInRefused`.
        """
        role = self._role(claims)
        subject = digest(f"{self._issuer}\n{claims['sub']}")
        known = await self._identities.user_of(subject)
        user = await self._users.get(known) if known is not None else None
        if user is None:
            user = await self._by_email(claims, role)
            await self._identities.link(subject, user.id)
        if role is not None and user.role is not role:
            await self._users.change(user, role=role)
            user = replace(user, role=role)
        return user

    async def _by_email(self, claims: Claims, role: Role | None) -> User:
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise SignInRefused("The provider does not vouch for an email address of yours")
        user = await self._users.find(email)
        if user is not None:
            return user
        if role is None:
            raise SignInRefused("There is no user with your email address: ask an administrator to add one")
        names = {name: value for name, value in _names(claims).items() if isinstance(value, str)}
        try:
            return await self._users.add(email, role=role, **names)
        except BadUser as error:
            raise SignInRefused(str(error)) from None
        except UserExists:  # made at the same moment
            found = await self._users.find(email)
            if found is None:
                raise
            return found

    def _role(self, claims: Claims) -> Role | None:
        """The highest that the claims give; None if no claim says anything about roles."""
        if not self._roles:
            return None
        value = claims.get(self._role_claim) if self._role_claim else None
        values = [str(each) for each in value] if isinstance(value, list) else [value] if isinstance(value, str) else []
        given = {self._roles[each] for each in (*values, EVERYONE) if each in self._roles}
        if not given:
            raise SignInRefused("What the provider says of you gives you no role here: ask an administrator")
        return next(role for role in _MOST_FIRST if role in given)


def _names(claims: Claims) -> dict[str, object]:
    return {"first_name": claims.get("given_name"), "last_name": claims.get("family_name")}

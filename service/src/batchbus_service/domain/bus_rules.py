"""Who asks for something on the bus, and what they may do there: the rules of one installation, without a database.

A publisher is a principal. Principals are written as texts, and jobs keep the one that asked for them:

* `shop`: the broker vouches that its user `shop` has published the trigger.
* `/users/usr_…`: a user over HTTP, for whom batchbus itself published it. It is believed from batchbus's own user alone.
* `unvouched:shop`: the trigger names `shop` as its source, and the broker does not say who published it.
* None: there is no broker that could vouch, or `BATCHBUS_UNVOUCHED` is `trusted`. Then everyone is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from batchbus_service.domain.errors import NotAllowed

if TYPE_CHECKING:
    from batchbus_service.domain.job import Job

__all__ = ["UNVOUCHED", "BusRules", "Unvouched", "counted_for", "covers", "http_user", "label_of", "owner_of"]

Unvouched = Literal["own", "trusted", "refuse"]

UNVOUCHED: Final = "unvouched:"
_HTTP_USERS: Final = "/users/"
_ON_THE_BUS: Final = "bus:"
_RESERVED: Final = (UNVOUCHED, _HTTP_USERS, "vouched:")
_OTHERS_JOB: Final = (
    "Cannot change a batch job that was not created by {who}. A service changes the jobs that it has created itself, unless "
    "BATCHBUS_BUS_OPERATORS names it"
)
_REFUSED: Final = (
    "The broker does not say who has published this, and BATCHBUS_UNVOUCHED is set to refuse: have the property user_id set to "
    "the user of the connection, as batchbus_events.Client does"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRules:
    """What principals may do. `unvouched` is about those for whom no broker vouches."""

    unvouched: Unvouched = "own"
    operators: tuple[str, ...] = ()
    """Names of principals, or patterns of them, that may change everyone's jobs and read every file."""
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Which files, as patterns of their keys, a principal may read that were put into the file store by other means."""

    def principal(self, *, user: str | None, named: str | None, source: str) -> str | None:
        """Who has published a trigger of that source. Raises `NotAllowed` if it is not vouched for, and has to be.

        `user`: whom the broker vouches for. `named`: for whom our own user says that it has published it.
        """
        if named is not None:
            return named
        if user is not None:
            return f"vouched:{user}" if user.startswith(_RESERVED) else user
        if self.unvouched == "refuse":
            raise NotAllowed(_REFUSED)
        return None if self.unvouched == "trusted" else UNVOUCHED + source

    def operates(self, principal: str | None) -> bool:
        """Whether it may change everyone's jobs, and read every file."""
        if principal is None or principal.startswith(_HTTP_USERS):  # only operators may publish triggers over HTTP
            return True
        return any(covers(pattern, principal) for pattern in self.operators)

    def check_change(self, principal: str | None, job: Job) -> None:
        """Raises `NotAllowed` unless the principal may confirm and cancel the job."""
        if principal is not None and not self.operates(principal) and not _made(principal, job):
            raise NotAllowed(_OTHERS_JOB.format(who=principal))

    def grants(self, principal: str, key: str) -> bool:
        """Whether the settings let the principal read a file that is no upload, and that no job has made.

        Sources that are not vouched for are meant only where the settings say so.
        """
        unvouched = principal.startswith(UNVOUCHED)
        return any(
            covers(pattern, key)
            for name, patterns in self.files.items()
            if covers(name, principal) and name.startswith(UNVOUCHED) == unvouched
            for pattern in patterns
        )


def http_user(user_id: str) -> str:
    """The principal of a user over HTTP, which is also the source of their triggers."""
    return _HTTP_USERS + user_id


def counted_for(principal: str | None, created_by: str) -> str | None:
    """The owner among whose jobs a job with this principal and this creator counts: a user's id, or the name of a service.

    None for a job on the bus where everyone is believed. All that are not vouched for are one owner: they choose their names.
    """
    if principal is None:
        return None if created_by.startswith(_ON_THE_BUS) else created_by
    return UNVOUCHED if principal.startswith(UNVOUCHED) else principal.removeprefix(_HTTP_USERS)


def owner_of(principal: str | None, created_by: str) -> str:
    """Whose turn it is when a job is taken that has this principal and this creator, also where everyone is believed."""
    return counted_for(principal, created_by) or created_by


def label_of(principal: str) -> str:
    """What jobs had as their creator, behind `bus:`, before they kept their principal."""
    return principal.removeprefix(UNVOUCHED)


def covers(pattern: str, name: str) -> bool:
    """Whether the name is what the pattern says, in which `*` stands for any characters. It takes linear time."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *middle, last = others
    if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _made(principal: str, job: Job) -> bool:
    if job.principal is not None:
        return job.principal == principal
    # A job from before principals were kept, or made while everyone was trusted.
    if job.created_by == f"bus:{label_of(principal)}":
        return True
    # Its creator is a label then. A source that is not vouched for is known by its name alone, then as now.
    first = job.history[0].data if job.history else {}
    return principal.startswith(UNVOUCHED) and first.get("by") == f"bus:{label_of(principal)}"

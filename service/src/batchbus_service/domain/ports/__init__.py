"""Every port of the service, and what each call may raise.

| page | ports |
|---|---|
| `jobs` | `JobStore`: the jobs, their leases, and triggers that came before their job |
| `listings` | `JobListings`: pages of jobs; `UploadStore`: whose a file is |
| `operations` | `ReplayStore`, `HistoryReader`, `ParkedStore`: what operators do to many jobs and messages |
| `access` | `UserStore`, `TokenStore`, `SessionStore`, `LoginStore`, `IdentityStore`: who may use the HTTP API |
| `audit` | `AuditStore`: what was done by whom |
| `limits` | `PermitStore`: what was given away of the limits that strategies set on their calls |
| `server` | `DatabaseServer`: its health; `Clock`: its time; `ProcessStore`: who shares it |
| `errors` | what all of them raise |

`Stores` has one of each. The message broker's port, `Bus`, and the files' port, `Files`, belong to the packages that
others use too: `batchbus_events.bus` and `batchbus_strategies.strategy`.
"""

from __future__ import annotations

from dataclasses import dataclass

from batchbus_service.domain.ports.access import (
    IdentityStore,
    LoginNote,
    LoginStore,
    Session,
    SessionStore,
    TokenStore,
    UserStore,
)
from batchbus_service.domain.ports.audit import AuditRecord, AuditStore
from batchbus_service.domain.ports.jobs import Answer, Insertion, JobStore, JobWrite, Renewal, Update
from batchbus_service.domain.ports.limits import PermitStore
from batchbus_service.domain.ports.listings import JobListings, Upload, UploadStore
from batchbus_service.domain.ports.operations import HistoryReader, ParkedStore, RecordedHistory, ReplayStore
from batchbus_service.domain.ports.server import Clock, DatabaseServer, ProcessStore

__all__ = [
    "Answer",
    "AuditRecord",
    "AuditStore",
    "Clock",
    "DatabaseServer",
    "HistoryReader",
    "IdentityStore",
    "Insertion",
    "JobListings",
    "JobStore",
    "JobWrite",
    "LoginNote",
    "LoginStore",
    "ParkedStore",
    "PermitStore",
    "ProcessStore",
    "RecordedHistory",
    "Renewal",
    "ReplayStore",
    "Session",
    "SessionStore",
    "Stores",
    "TokenStore",
    "Update",
    "Upload",
    "UploadStore",
    "UserStore",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One store of each kind, all on the same database."""

    server: DatabaseServer
    jobs: JobStore
    processes: ProcessStore
    listings: JobListings
    uploads: UploadStore
    replays: ReplayStore
    histories: HistoryReader
    parked: ParkedStore
    permits: PermitStore
    users: UserStore
    tokens: TokenStore
    sessions: SessionStore
    logins: LoginStore
    audit: AuditStore
    identities: IdentityStore

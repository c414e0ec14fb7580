"""Route: the audit trail, for those who administer users. There is no route that changes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from batchbus_service.domain.ports.audit import AuditRecord
from batchbus_service.http.operator.forms_of_access import AuditEntryShown, AuditList
from batchbus_service.http.server.callers import UserAdmin
from batchbus_service.http.server.forms import Limit, Offset
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import ApiState

__all__ = ["router"]

router = APIRouter(prefix="/admin/audit", tags=["users"])


@router.get("", responses=answers(AuditList))
async def list_records(
    api: ApiState,
    _caller: UserAdmin,
    by: Annotated[str | None, Query(max_length=100)] = None,
    what: Annotated[str | None, Query(max_length=200)] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """Logins, those that were refused too, changes of users and tokens, and what operators did; the newest first."""
    records, count = await api.audit.page(by=by, what=what, offset=offset, limit=limit)
    return AuditList(audit=[_shown(each) for each in records], count=count, offset=offset, limit=limit).response()


def _shown(record: AuditRecord) -> AuditEntryShown:
    return AuditEntryShown(
        id=record.id,
        at=record.at,
        what=record.what,
        by=record.by,
        address=record.address,
        about=record.about,
        details=dict(record.details),
    )

"""Routes: what has happened to a job, and why it is where it is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from batchbus_service.domain.explanation import Served, explain
from batchbus_service.domain.job import HistoryEntry
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.operator.error_file import error_file_name
from batchbus_service.http.operator.outcome import outcome_key
from batchbus_service.http.operator.plan import plan_key
from batchbus_service.http.operator.schemas import History, HistoryEvent
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.openapi import answers
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])


@router.get("/{id}/history", responses=answers(History))
async def history(id: str, api: ApiState, caller: Reader) -> Response:
    """Every lifecycle event of the job; why it is where it is, and the way out if there is one."""
    job = await job_for(api, caller, id)
    transitions = api.service.transitions
    published = transitions.outbox.published(job)
    entries = [_on_the_wire(entry, published=entry.seq <= published) for entry in job.history]
    explanation = explain(
        job,
        transitions.clock.now(),
        transitions.decider.policy,
        _served(api, job.type),
        file_fields=api.service.registry.declared(job.type).file_fields,
    )
    plan, outcome = plan_key(api, job) is not None, outcome_key(api, job) is not None
    answer = History(
        history=entries,
        why=explanation.why,
        way_out=explanation.hint,
        plan=plan,
        outcome=outcome,
        error_file=error_file_name(api, job),
    )
    return answer.response()


def _on_the_wire(entry: HistoryEntry, *, published: bool) -> HistoryEvent:
    return HistoryEvent(
        sequence=entry.seq,
        id=entry.id,
        type=entry.type,
        time=entry.time,
        data=dict(entry.data),
        causationid=entry.causationid,
        traceparent=entry.traceparent,
        published=published,
    )


def _served(api: Api, job_type: str) -> Served:
    if api.service.worker and api.service.worker.serves(job_type):
        return Served.HERE
    return Served.ELSEWHERE if api.service.registry.get(job_type) else Served.UNKNOWN

"""Route: past lifecycle events from the jobs' histories, for clients whose log does not reach far enough."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from batchbus_events.event import Event, encode
from batchbus_events.ids import JOB_ID
from batchbus_service.domain.instants import Instant
from batchbus_service.domain.selection import Selection
from batchbus_service.http.server.callers import Operator
from batchbus_service.http.server.errors import invalid
from batchbus_service.http.server.state import ApiState
from batchbus_service.operations.replay.histories import JobHistories

__all__ = ["router"]

router = APIRouter(prefix="/admin/events", tags=["events"])

_NDJSON: Final = "application/x-ndjson"


@router.get("/history", response_class=StreamingResponse, responses={200: {"content": {_NDJSON: {}}}})
async def history(
    api: ApiState,
    _caller: Operator,
    since: Instant | None = None,
    job_id: str | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Envelopes, one a line: those of one job behind the sequence `after`, or of all jobs from `since` on, job by job."""
    if (since is None) == (job_id is None):
        raise invalid("give either since or job_id")
    if job_id is not None and not JOB_ID.fullmatch(job_id):
        raise invalid("job_id must be the id of a job")
    if job_id is not None:
        selection = Selection(job_ids=(job_id,))
    else:
        assert since is not None
        selection = Selection(since=since)
    batches = JobHistories(api.service.stores.histories).batches(selection, after=after)
    # The first ones before the answer begins, so that a database that is away is an error and not an empty answer.
    first: list[Event] = await anext(batches, [])
    return StreamingResponse(_lines(first, batches), media_type=_NDJSON)


async def _lines(first: list[Event], batches: AsyncGenerator[list[Event], None]) -> AsyncGenerator[bytes, None]:
    yield b"".join(encode(event) + b"\n" for event in first)
    async for events in batches:
        yield b"".join(encode(event) + b"\n" for event in events)

"""Jobs with histories, made up for tests and benchmarks, without running them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from batchbus_events.ids import derived_job_id
from batchbus_service.domain.job import HistoryEntry, Job, Status
from batchbus_service.storage.mongo.document import to_document

__all__ = ["BEGIN", "finished_job", "finished_jobs"]

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LIFE: Final = ("batch.created", "batch.pre_processed", "batch.confirmed", "batch.processing", "batch.completed")


def finished_job(name: str, times: list[datetime], batch_type: str = "tests", created_by: str = "usr_1") -> Job:
    """A completed job; `times`: one for each of its events, at most five."""
    job_id = derived_job_id("test", name)
    history = tuple(
        HistoryEntry(
            seq=seq,
            id=f"{job_id}-{seq}",
            type=type_,
            time=time,
            data={"id": job_id, "type": batch_type, "status": type_.removeprefix("batch.")},
        )
        for seq, (type_, time) in enumerate(zip(_LIFE, times, strict=False), start=1)
    )
    return Job(
        id=job_id,
        type=batch_type,
        dry_run=False,
        context={},
        created_by=created_by,
        request_digest=name,
        status=Status.COMPLETED,
        created_at=times[0],
        updated_at=max(times),
        history=history,
        published=len(history),
    )


def finished_jobs(number: int, *, apart: timedelta = timedelta(seconds=1)) -> Iterator[dict[str, Any]]:
    """Documents of completed jobs: one begins every `apart`, and their events, a second apart, overlap."""
    for n in range(number):
        times = [BEGIN + n * apart + timedelta(seconds=s) for s in range(5)]
        yield to_document(finished_job(str(n), times))

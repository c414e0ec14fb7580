"""Between `Job` and its MongoDB document, both ways, and the difference of two jobs as an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from operator import attrgetter
from types import UnionType
from typing import Any, Final, TypeVar

from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import SCHEMA, Checkpoint, HistoryEntry, Job, Lease, Status, Writer, work_queue
from batchbus_service.domain.ports.jobs import WRITTEN_BY_HEARTBEATS
from batchbus_service.domain.result import JobResult
from batchbus_service.storage.mongo.driver import Document, Stored

__all__ = [
    "A_JOB",
    "from_document",
    "history_of",
    "stand_in",
    "to_document",
    "update_of",
]

T = TypeVar("T")

A_JOB: Final = "batch job"
"""What people call what the document is of."""

_TIMED: Final = tuple(status for status in Status if status is not Status.CREATED)
_PLAIN: Final = (
    "type",
    "dry_run",
    "context",
    "created_by",
    "request_digest",
    "prepared",
    "principal",
    "created_at",
    "updated_at",
    "deleted_at",
    "version",
    "fence",
    "failures",
    "lost_runs",
    "crashes",
    "no_room_since",
    "confirmed_early",
    "confirmed_early_digest",
    "confirm_by",
    "worker_by",
    "published",
    "ready_at",
    "wake_at",
    "schema",
)
_TEXTS: Final = ("_id", "type", "created_by", "request_digest", "status")
_NUMBERS: Final = ("version", "fence", "failures", "lost_runs", "crashes", "published")
_MOMENTS: Final = ("created_at", "updated_at", "ready_at", "wake_at", "no_room_since", "confirm_by", "worker_by")
_KINDS: Final[Mapping[str, type | UnionType]] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_NUMBERS, int),
    **dict.fromkeys((*_MOMENTS, *(f"{status}_at" for status in _TIMED)), datetime),
    "context": dict,
    "result": dict | None,
    "principal": str,
    "dry_run": bool,
}
"""Of what kind the values are that others count on without a look."""
_COMPARED: Final = tuple(name for name in _PLAIN if name != "published")


def to_document(job: Job) -> Document:
    """The whole document. What is None is left out, so that sparse indexes hold only the jobs that wait."""
    document: Document = {"_id": job.id}
    for name in _PLAIN:
        if (value := getattr(job, name)) is not None:
            document[name] = value
    document["status"] = job.status.value
    for name, (value_of, encode) in _ENCODED.items():
        if (value := value_of(job)) is not None:
            document[name] = encode(value)
    document["history"] = [_entry_document(entry) for entry in job.history]
    return document


def update_of(old: Job, new: Job, *, by_owner: bool = False) -> Document:
    """The update that turns `old`'s document into `new`'s, naming only what differs; history is only ever added to.

    What others write without raising the version may differ from `old` by now, so it is named even if it seems not
    to differ: `wake_at` always, and what heartbeats write if it is the owner of the lease who writes (`by_owner`).
    """
    changed: Document = {}
    removed: Document = {}

    def compare(name: str, before: object, after: T, encode: Callable[[T], object] = _as_it_is) -> None:
        if before == after and name != "wake_at" and not (by_owner and name in WRITTEN_BY_HEARTBEATS):
            return
        if after is None:
            removed[name] = ""
        else:
            changed[name] = encode(after)

    for name in _COMPARED:
        compare(name, getattr(old, name), getattr(new, name))
    compare("status", old.status.value, new.status.value)
    for name, (value_of, encode) in _ENCODED.items():
        compare(name, value_of(old), value_of(new), encode)
    update: Document = {}
    if new.published > old.published:
        # Another process may have raised it since `old` was read; it never goes back.
        update["$max"] = {"published": new.published}
    if changed:
        update["$set"] = changed
    if removed:
        update["$unset"] = removed
    if added := new.history[len(old.history) :]:
        update["$push"] = {"history": {"$each": [_entry_document(entry) for entry in added]}}
    return update


def from_document(document: Stored) -> Job:
    """Raises `UnreadableJob`, also for a document of a newer schema than this version of batchbus knows."""
    try:
        if document.get("schema", SCHEMA) <= SCHEMA:
            return _job(document)
        reason = f"a newer batchbus wrote it (schema {document['schema']})"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableJob(str(document["_id"]), f"{type(error).__name__}: {error}") from error
    raise UnreadableJob(str(document["_id"]), reason)


def _job(document: Stored) -> Job:
    for name, value in document.items():
        if not isinstance(value, _KINDS.get(name, object)):
            raise TypeError(f"{name} is of the kind {type(value).__name__}")
    lease = document.get("lease")
    checkpoint = document.get("checkpoint")
    writer = document.get("writer")
    return Job(
        id=document["_id"],
        status=Status(document["status"]),
        status_at={status: document[f"{status}_at"] for status in _TIMED if f"{status}_at" in document},
        lease=Lease(lease["worker"], lease["expires_at"]) if lease else None,
        checkpoint=Checkpoint(**checkpoint) if checkpoint else None,
        result=None if document.get("result") is None else JobResult.read(document["result"]),
        history=history_of(document),
        writer=Writer(**writer) if writer else None,
        triggers=tuple(document.get("triggers", ())),
        **{name: document[name] for name in _PLAIN if name in document},
    )


def history_of(document: Stored) -> tuple[HistoryEntry, ...]:
    """The job's events, in their sequence. Raises `KeyError` or `TypeError` if they are of another form."""
    for entry in document["history"]:
        if not isinstance(entry["time"], datetime) or not isinstance(entry["seq"], int):
            raise TypeError("history has an entry whose time or number is of another kind")
    return tuple(HistoryEntry(**entry) for entry in document["history"])


def stand_in(document: Stored, reason: str) -> Job:
    """What a list shows in place of a job that cannot be read: what is known of it, and the reason."""

    def known(name: str, kind: type[T], otherwise: T) -> T:
        value = document.get(name)
        return value if isinstance(value, kind) else otherwise

    status = known("status", str, "")
    created_at = known("created_at", datetime, datetime.fromtimestamp(0, UTC))
    return Job(
        id=str(document["_id"]),
        type=known("type", str, "unreadable"),
        dry_run=known("dry_run", bool, False),
        context={},
        created_by=known("created_by", str, ""),
        request_digest="",
        status=Status(status) if status in tuple(Status) else Status.FAILED,
        created_at=created_at,
        updated_at=known("updated_at", datetime, created_at),
        result=JobResult(errors=(reason,)),
    )


def _as_it_is(value: object) -> object:
    return value


def _work_queue(job: Job) -> str | None:
    return work_queue(job.phase, job.type) if job.ready_at else None


def _reached_at(status: Status) -> Callable[[Job], datetime | None]:
    return lambda job: job.status_at.get(status)


_ENCODED: Final[Mapping[str, tuple[Callable[[Job], Any], Callable[[Any], Any]]]] = {
    "lease": (attrgetter("lease"), asdict),
    "checkpoint": (attrgetter("checkpoint"), asdict),
    "result": (attrgetter("result"), JobResult.to_json),
    "lane": (_work_queue, _as_it_is),
    "counted_for": (attrgetter("counted_for"), _as_it_is),
    "writer": (attrgetter("writer"), asdict),
    "triggers": (lambda job: job.triggers or None, list),
    **{f"{status}_at": (_reached_at(status), _as_it_is) for status in _TIMED},
}
"""Fields that are not as in the `Job`: their value, which two jobs are compared by, and its form in the document.

`lane` is derived: present where `ready_at` is. So is `counted_for`: present until the job has ended.
"""


def _entry_document(entry: HistoryEntry) -> Document:
    document: Document = {
        "seq": entry.seq,
        "id": entry.id,
        "type": entry.type,
        "time": entry.time,
        "data": entry.data,
    }
    if entry.causationid is not None:
        document["causationid"] = entry.causationid
    if entry.traceparent is not None:
        document["traceparent"] = entry.traceparent
    return document

"""Placeholders as MongoDB documents, in the collection of the jobs, under the job's own `_id`.

Under that id, since a second document beside the job would race: the trigger finds no job, the job finds no document,
and nobody acts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from batchbus_service.domain.early import PLACEHOLDER_SCHEMA, ChangeTrigger, Kept, Placeholder, why_not_kept
from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.storage.mongo.collection import Collection
from batchbus_service.storage.mongo.document import A_JOB
from batchbus_service.storage.mongo.driver import Document, Stored
from batchbus_service.storage.mongo.reading import read

__all__ = ["Placeholders", "from_document", "is_placeholder"]


def is_placeholder(document: Stored) -> bool:
    return document.get("schema") == PLACEHOLDER_SCHEMA


def from_document(document: Stored) -> Placeholder:
    """Raises `UnreadableJob`."""
    try:
        return Placeholder(
            id=document["_id"],
            triggers=tuple(_trigger(each) for each in document["early"]),
            since=document["since"],
            wake_at=document["wake_at"],
            ended=document["ended"],
            revision=document["revision"],
        )
    except (KeyError, TypeError) as error:
        raise UnreadableJob(str(document["_id"]), f"{type(error).__name__}: {error}") from error


class Placeholders:
    """The part of `JobStore` that keeps early triggers."""

    def __init__(self, jobs: Collection) -> None:
        self._jobs = jobs

    async def keep(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        fresh = {
            "_id": job_id,
            "schema": PLACEHOLDER_SCHEMA,
            "early": [_trigger_document(trigger)],
            "since": trigger.received_at,
            "wake_at": wake_at,
            "ended": False,
            "revision": 1,
        }
        # Not `storage.changing`: the first try is an insert, and each round may find another kind of document, or none.
        while True:
            if await self._jobs.insert(fresh):
                return "kept"
            document = await self._jobs.find_one({"_id": job_id})
            if document is None:
                continue  # it has just been dropped
            if not is_placeholder(document):
                return "job"
            known = read(A_JOB, document, from_document)
            if refused := why_not_kept(known, trigger):
                return refused
            change = {"$push": {"early": _trigger_document(trigger)}, "$inc": {"revision": 1}}
            if await self._jobs.compare_and_set(_as_read(known), change):
                return "kept"

    async def get(self, job_id: str) -> Placeholder | None:
        document = await self._jobs.find_one({"_id": job_id, "schema": PLACEHOLDER_SCHEMA})
        return read(A_JOB, document, from_document) if document else None

    async def move(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        change = {"$set": {"wake_at": wake_at, "ended": ended}, "$inc": {"revision": 1}}
        if not await self._jobs.compare_and_set(_as_read(old), change):
            return None
        return replace(old, wake_at=wake_at, ended=ended, revision=old.revision + 1)

    async def fill(self, placeholder: Placeholder, document: Document) -> bool:
        return await self._jobs.replace(_as_read(placeholder), document)

    async def drop(self, placeholder: Placeholder) -> None:
        await self._jobs.delete(_as_read(placeholder))

    async def count(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        # The bounds on the time have the index on it used, without the dry runs that wait for days to be confirmed.
        where = {"wake_at": {"$gt": since, "$lte": until}, "schema": PLACEHOLDER_SCHEMA, "early.sender": sender}
        return await self._jobs.count(where, limit=up_to)


def _as_read(placeholder: Placeholder) -> Document:
    return {"_id": placeholder.id, "schema": PLACEHOLDER_SCHEMA, "revision": placeholder.revision}


def _trigger(document: Stored) -> ChangeTrigger:
    return ChangeTrigger(
        type=document["type"],
        cause=Cause(**document["cause"], principal=document.get("principal")),
        sender=document["sender"],
        received_at=document["received_at"],
        reason=document["reason"],
        plan_digest=document.get("plan_digest"),  # versions before this one have none
    )


def _trigger_document(trigger: ChangeTrigger) -> Document:
    cause = trigger.cause
    document: Document = {
        "type": trigger.type,
        "cause": {
            "event_id": cause.event_id,
            "source": cause.source,
            "by": cause.by,
            "traceparent": cause.traceparent,
        },
        "sender": trigger.sender,
        "received_at": trigger.received_at,
        "reason": trigger.reason,
    }
    if cause.principal is not None:
        document["principal"] = cause.principal  # not with the cause, in which earlier versions know every field
    if trigger.plan_digest is not None:
        document["plan_digest"] = trigger.plan_digest
    return document

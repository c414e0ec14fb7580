"""Replays in MongoDB: written by compare-and-set, never removed, their audit trail only added to."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Final

from batchbus_service.domain.audit import AuditEntry
from batchbus_service.domain.errors import UnknownReplay
from batchbus_service.domain.replay import AT_WORK, Claim, Plan, Position, Replay, State
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.storage.mongo.collection import ASCENDING, DESCENDING, Collection, Database
from batchbus_service.storage.mongo.driver import Document, Stored
from batchbus_service.storage.mongo.reading import read, readable

__all__ = ["MongoReplayStore"]

_WHAT: Final = "replay"
_PLAIN: Final = (
    *("reason", "created_by", "created_at", "rate", "started_at", "started_by", "ended_at"),
    *("published", "repeated", "trouble", "version", "fence"),
)


class MongoReplayStore:
    """`ReplayStore` on the collection `replays`."""

    def __init__(self, database: Database) -> None:
        self._replays = Collection(database, "replays")

    async def insert(self, replay: Replay) -> None:
        await self._replays.insert(_document(replay))

    async def get(self, replay_id: str) -> Replay:
        document = await self._replays.find_one({"_id": replay_id})
        if document is None:
            raise UnknownReplay(replay_id)
        return read(_WHAT, document, _replay)

    async def newest(self, *, offset: int, limit: int) -> tuple[list[Replay], int]:
        documents, count = await self._replays.page({}, [("_id", DESCENDING)], offset=offset, limit=limit)
        return list(readable(_WHAT, documents, _replay)), count

    async def change(self, old: Replay, new: Replay) -> bool:
        before, after = _document(old), _document(new)
        entries = after.pop("audit")[len(before.pop("audit")) :]
        update: Document = {"$push": {"audit": {"$each": entries}}}
        if changed := {name: value for name, value in after.items() if value != before.get(name)}:
            update["$set"] = changed
        return await self._replays.compare_and_set({"_id": old.id, "version": old.version}, update)

    async def claim(self, worker: str, now: datetime, expires_at: datetime) -> Replay | None:
        waiting = await self._replays.find(
            {"state": {"$in": [state.value for state in AT_WORK]}}, order=[("_id", ASCENDING)]
        )
        for replay in readable(_WHAT, waiting, _replay):
            if replay.claim and replay.claim.expires_at > now:
                continue
            claimed = replay.claimed(Claim(worker, expires_at), now)
            entries = [asdict(entry) for entry in claimed.audit[len(replay.audit) :]]
            if await self._replays.compare_and_set(
                {"_id": replay.id, "version": replay.version, "fence": replay.fence},
                {
                    "$set": {"fence": claimed.fence, "claim": _claim(claimed)},
                    "$push": {"audit": {"$each": entries}},
                },
            ):
                return claimed
        return None

    async def carry_on(self, replay: Replay, expires_at: datetime) -> bool:
        got = {
            "position": _position(replay),
            "published": replay.published,
            "repeated": replay.repeated,
            "trouble": replay.trouble,
            "claim.expires_at": expires_at,
        }
        return await self._replays.compare_and_set({"_id": replay.id, "fence": replay.fence}, {"$set": got})

    async def release(self, replay: Replay) -> None:
        await self._replays.compare_and_set({"_id": replay.id, "fence": replay.fence}, {"$set": {"claim": None}})


def _document(replay: Replay) -> Document:
    return {
        "_id": replay.id,
        **{name: getattr(replay, name) for name in _PLAIN},
        "state": replay.state.value,
        "selection": replay.selection.model_dump(exclude_defaults=True),
        "destination": replay.destination.model_dump(exclude_none=True),
        "plan": asdict(replay.plan) if replay.plan else None,
        "position": _position(replay),
        "claim": _claim(replay),
        "audit": [asdict(entry) for entry in replay.audit],
    }


def _replay(document: Stored) -> Replay:
    plan, position, claim = document["plan"], document["position"], document["claim"]
    return Replay(
        id=document["_id"],
        **{name: document[name] for name in _PLAIN},
        state=State(document["state"]),
        selection=Selection.model_validate(document["selection"]),
        destination=Destination.model_validate(document["destination"]),
        plan=Plan(**{**plan, "sample": tuple(plan["sample"])}) if plan else None,
        position=Position(**position) if position else None,
        claim=Claim(**claim) if claim else None,
        audit=tuple(AuditEntry(**entry) for entry in document["audit"]),
    )


def _position(replay: Replay) -> Document | None:
    return replay.position._asdict() if replay.position else None


def _claim(replay: Replay) -> Document | None:
    return asdict(replay.claim) if replay.claim else None

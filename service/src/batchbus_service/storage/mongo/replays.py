"""Replays in MongoDB: written by compare-and-set, never removed, their audit trail only added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import DESCENDING, WriteConcern

from batchbus_service.domain.replay import Audit, Claim, Plan, Position, Replay, State, UnknownReplay
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["Replays"]

_DURABLE: Final = WriteConcern(w="majority", j=True)
_AT_WORK: Final = (State.PLANNING.value, State.RUNNING.value)
_PLAIN: Final = (
    *("reason", "created_by", "created_at", "rate", "started_at", "started_by", "ended_at"),
    *("published", "repeated", "trouble", "version", "fence"),
)


class Replays:
    """The collection `replays`. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._replays = database.get_collection("replays", codec_options=options, write_concern=_DURABLE)

    async def insert(self, replay: Replay) -> None:
        with answered():
            await self._replays.insert_one(_document(replay))

    async def get(self, replay_id: str) -> Replay:
        """Raises `UnknownReplay`."""
        with answered():
            document = await self._replays.find_one({"_id": replay_id})
        if document is None:
            raise UnknownReplay(replay_id)
        return _replay(document)

    async def newest(self, *, offset: int, limit: int) -> tuple[list[Replay], int]:
        """A page of them, and how many there are."""
        with answered():
            documents = await self._replays.find().sort("_id", DESCENDING).skip(offset).limit(limit).to_list(None)
            return [_replay(document) for document in documents], await self._replays.count_documents({})

    async def change(self, old: Replay, new: Replay) -> bool:
        """Write a change of state, if the stored version is still `old.version`. Returns whether it was written."""
        before, after = _document(old), _document(new)
        entries = after.pop("audit")[len(before.pop("audit")) :]
        update: dict[str, Any] = {"$push": {"audit": {"$each": entries}}}
        if changed := {name: value for name, value in after.items() if value != before.get(name)}:
            update["$set"] = changed
        with answered():
            result = await self._replays.update_one({"_id": old.id, "version": old.version}, update)
        return result.matched_count == 1

    async def claim(self, worker: str, now: datetime, expires_at: datetime) -> Replay | None:
        """Take one that is to be planned or run and that no living process carries out."""
        with answered():
            waiting = await self._replays.find({"state": {"$in": list(_AT_WORK)}}).sort("_id").to_list(None)
            for document in waiting:
                replay = _replay(document)
                if replay.claim and replay.claim.expires_at > now:
                    continue
                claimed = replay.claimed(Claim(worker, expires_at), now)
                entries = [asdict(entry) for entry in claimed.audit[len(replay.audit) :]]
                result = await self._replays.update_one(
                    {"_id": replay.id, "version": replay.version, "fence": replay.fence},
                    {
                        "$set": {"fence": claimed.fence, "claim": _claim(claimed)},
                        "$push": {"audit": {"$each": entries}},
                    },
                )
                if result.matched_count:
                    return claimed
        return None

    async def carry_on(self, replay: Replay, expires_at: datetime) -> bool:
        """Keep the claim, and write how far it got. Returns False if another process has claimed it since."""
        got = {
            "position": _position(replay),
            "published": replay.published,
            "repeated": replay.repeated,
            "trouble": replay.trouble,
            "claim.expires_at": expires_at,
        }
        with answered():
            result = await self._replays.update_one({"_id": replay.id, "fence": replay.fence}, {"$set": got})
        return result.matched_count == 1

    async def release(self, replay: Replay) -> None:
        """Give the claim back, so that another process can carry on at once."""
        with answered():
            await self._replays.update_one({"_id": replay.id, "fence": replay.fence}, {"$set": {"claim": None}})


def _document(replay: Replay) -> dict[str, Any]:
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


def _replay(document: Mapping[str, Any]) -> Replay:
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
        audit=tuple(Audit(**entry) for entry in document["audit"]),
    )


def _position(replay: Replay) -> dict[str, Any] | None:
    return replay.position._asdict() if replay.position else None


def _claim(replay: Replay) -> dict[str, Any] | None:
    return asdict(replay.claim) if replay.claim else None

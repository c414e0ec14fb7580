"""Replays, the histories that they publish again, and parked messages, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from batchbus_service.domain.errors import UnknownParked, UnknownReplay
from batchbus_service.domain.job import Job
from batchbus_service.domain.parked import Filter, ParkedMessage
from batchbus_service.domain.ports import RecordedHistory
from batchbus_service.domain.replay import AT_WORK, Claim, Replay
from batchbus_service.domain.selection import Selection
from tests.storage.memory.jobs import MemoryJobStore

__all__ = ["MemoryHistoryReader", "MemoryParkedStore", "MemoryReplayStore"]


class MemoryReplayStore:
    """`ReplayStore` in a dict."""

    def __init__(self) -> None:
        self._replays: dict[str, Replay] = {}

    async def insert(self, replay: Replay) -> None:
        self._replays[replay.id] = replay

    def known(self, replay_id: str) -> Replay:
        """For tests to look at."""
        return self._replays[replay_id]

    async def get(self, replay_id: str) -> Replay:
        if replay_id not in self._replays:
            raise UnknownReplay(replay_id)
        return self._replays[replay_id]

    async def newest(self, *, offset: int, limit: int) -> tuple[list[Replay], int]:
        replays = [self._replays[replay_id] for replay_id in sorted(self._replays, reverse=True)]
        return replays[offset : offset + limit], len(replays)

    async def change(self, old: Replay, new: Replay) -> bool:
        stored = self._replays.get(old.id)
        if stored is None or stored.version != old.version:
            return False
        # Only what differs is written, as in the database: a claim or a position since the read is not undone.
        changed = {
            name: getattr(new, name)
            for name in Replay.__dataclass_fields__
            if name != "audit" and getattr(new, name) != getattr(old, name)
        }
        audit = (*stored.audit, *new.audit[len(old.audit) :])
        self._replays[old.id] = replace(stored, **changed, audit=audit)
        return True

    async def claim(self, worker: str, now: datetime, expires_at: datetime) -> Replay | None:
        for replay_id in sorted(self._replays):
            replay = self._replays[replay_id]
            if replay.state in AT_WORK and not (replay.claim and replay.claim.expires_at > now):
                self._replays[replay_id] = replay.claimed(Claim(worker, expires_at), now)
                return self._replays[replay_id]
        return None

    async def carry_on(self, replay: Replay, expires_at: datetime) -> bool:
        stored = self._replays.get(replay.id)
        if stored is None or stored.fence != replay.fence or stored.claim is None:
            return False
        self._replays[replay.id] = replace(
            stored,
            position=replay.position,
            published=replay.published,
            repeated=replay.repeated,
            trouble=replay.trouble,
            claim=replace(stored.claim, expires_at=expires_at),
        )
        return True

    async def release(self, replay: Replay) -> None:
        stored = self._replays.get(replay.id)
        if stored is not None and stored.fence == replay.fence:
            self._replays[replay.id] = replace(stored, claim=None)


class MemoryHistoryReader:
    """`HistoryReader` of the jobs in a memory store."""

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._jobs = jobs

    def read(self, selection: Selection) -> Iterator[RecordedHistory]:
        for job in list(self._jobs.jobs.values()):
            if _may_have(job, selection):
                yield RecordedHistory(job.id, job.type, job.history)


class MemoryParkedStore:
    """`ParkedStore` in a dict."""

    def __init__(self) -> None:
        self._parked: dict[str, ParkedMessage] = {}

    async def prepare(self) -> None:
        pass

    async def keep(self, parked: ParkedMessage) -> None:
        known = self._parked.get(parked.id)
        self._parked[parked.id] = known.again(parked) if known else parked

    async def get(self, parked_id: str) -> ParkedMessage:
        if parked_id not in self._parked:
            raise UnknownParked(parked_id)
        return self._parked[parked_id]

    async def find(self, wanted: Filter, *, offset: int, limit: int) -> tuple[list[ParkedMessage], int]:
        found = [each for _, each in sorted(self._parked.items()) if _matches(each, wanted)]
        found.sort(key=lambda each: each.last_failed_at, reverse=True)
        return found[offset : offset + limit], len(found)

    async def count(self, wanted: Filter) -> int:
        return sum(_matches(each, wanted) for each in self._parked.values())

    async def change(self, old: ParkedMessage, new: ParkedMessage) -> bool:
        stored = self._parked.get(old.id)
        if stored is None or stored.version != old.version:
            return False
        self._parked[old.id] = new
        return True


def _may_have(job: Job, selection: Selection) -> bool:
    return (
        (not selection.job_ids or job.id in selection.job_ids)
        and (not selection.batch_types or job.type in selection.batch_types)
        and (not selection.statuses or job.status in selection.statuses)
        and (not selection.created_by or job.created_by in selection.created_by)
        and (selection.until is None or job.created_at < selection.until)
        and (selection.since is None or job.updated_at >= selection.since)
    )


def _matches(parked: ParkedMessage, wanted: Filter) -> bool:
    return (
        parked.state is wanted.state
        and wanted.routing_key in (None, parked.routing_key)
        and (wanted.reason is None or wanted.reason.lower() in parked.reason.lower())
        and (wanted.since is None or parked.last_failed_at >= wanted.since)
        and (wanted.until is None or parked.last_failed_at < wanted.until)
    )

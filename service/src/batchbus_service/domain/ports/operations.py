"""The ports of what operators work with: replays, the histories that these publish again, and parked messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from batchbus_service.domain.job import HistoryEntry
from batchbus_service.domain.parked import Filter, ParkedMessage
from batchbus_service.domain.replay import Replay
from batchbus_service.domain.selection import Selection

__all__ = ["HistoryReader", "ParkedStore", "RecordedHistory", "ReplayStore"]


class ReplayStore(Protocol):
    """The replays. None is ever removed. Every method may raise `StoreUnavailable`; writes are durable."""

    async def insert(self, replay: Replay) -> None:
        """Add a replay."""

    async def get(self, replay_id: str) -> Replay:
        """The replay with that id. Raises: `UnknownReplay`, `UnreadableDocument`."""

    async def newest(self, *, offset: int, limit: int) -> tuple[list[Replay], int]:
        """A page of the replays, the newest first, and how many there are in all."""

    async def change(self, old: Replay, new: Replay) -> bool:
        """Write a change of state if the stored version is still `old.version`. Returns whether it was written."""

    async def claim(self, worker: str, now: datetime, expires_at: datetime) -> Replay | None:
        """Take the oldest replay that is to be planned or run and that no living process carries out.

        Returns it as it is claimed, or None if there is none.
        """

    async def carry_on(self, replay: Replay, expires_at: datetime) -> bool:
        """Keep the claim until then, and write how far `replay` has got.

        Returns False, and writes nothing, if another process has claimed it since.
        """

    async def release(self, replay: Replay) -> None:
        """Give the claim back, so that another process can carry on at once; does nothing if another one has it."""


class RecordedHistory(NamedTuple):
    """The events of one job, as its document has them."""

    job_id: str
    batch_type: str
    entries: tuple[HistoryEntry, ...]


class HistoryReader(Protocol):
    """The histories of all jobs."""

    def read(self, selection: Selection) -> Iterator[RecordedHistory]:
        """The histories of the jobs that may have events of the selection, in no order that is promised.

        Each step may block, and belongs in a thread. Documents that cannot be read are left out, and named in the log.
        Each step may raise `StoreUnavailable`.
        """


class ParkedStore(Protocol):
    """Records of parked messages. None is ever removed. Every method may raise `StoreUnavailable`.

    Writes are durable once they return. The messages' bodies are in the file store.
    """

    async def prepare(self) -> None:
        """Have the store list the messages by their last failure."""

    async def keep(self, parked: ParkedMessage) -> None:
        """Add the record; or, if there is one of that id, note that the message has failed again."""

    async def get(self, parked_id: str) -> ParkedMessage:
        """The record with that id. Raises: `UnknownParked`, `UnreadableDocument`."""

    async def find(self, wanted: Filter, *, offset: int, limit: int) -> tuple[list[ParkedMessage], int]:
        """A page of those that match, those that failed last first, and how many there are in all."""

    async def count(self, wanted: Filter) -> int:
        """How many match."""

    async def change(self, old: ParkedMessage, new: ParkedMessage) -> bool:
        """Write what was done if the stored version is still `old.version`. Returns whether it was written."""

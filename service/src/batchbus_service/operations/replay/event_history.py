"""The past, read from the jobs' histories: counted for a plan, or put in order of time with flat memory.

Histories are read in one pass over the jobs, by when these were created: to ask for events in order of time would take an
index that every job would pay for. What does not fit into memory is sorted in pieces on disk, and merged.

All of this blocks, and runs in a thread of its own.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import bson
from bson.codec_options import CodecOptions
from pymongo.errors import CursorNotFound

from batchbus_events import topics
from batchbus_events.event import Event, encode
from batchbus_service.domain.job import SCHEMA, HistoryEntry
from batchbus_service.domain.replay import Position
from batchbus_service.domain.selection import Selection
from batchbus_service.journal.messages import event_of
from batchbus_service.storage.mongo.document import history_of

if TYPE_CHECKING:
    from pymongo.collection import Collection

__all__ = ["EventHistory", "Marks", "PastEvent", "Stopped", "Summary", "past_events", "sort_past", "sum_up"]

_PROJECTION: Final = ("type", "history", "schema")
_BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_SLICE: Final = timedelta(minutes=1)
_NARROWEST: Final = timedelta(milliseconds=1)
_FEW, _MANY = 500, 5000
"""Jobs in a slice of time: with fewer the next one is wider, with more it is cut in two."""
_AWARE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True, tzinfo=UTC)
_SAMPLE: Final = 10
_PIECE_BYTES: Final = 16 * 1024 * 1024
"""What is sorted in memory at a time, as encoded."""


class Stopped(Exception):
    """Reading was called off."""


class Marks(NamedTuple):
    """What is added to an event that is published again."""

    replay_id: str
    at: datetime
    by: str


class PastEvent(NamedTuple):
    """One event, ready to be published. Sorts by its position."""

    position: Position
    id: str
    routing_key: str
    body: bytes


class Summary(NamedTuple):
    """How much of the past a selection takes."""

    events: int
    jobs: int
    by_type: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    sample: tuple[Mapping[str, Any], ...]
    """The first few events, in order."""


def sum_up(jobs: Collection[dict[str, Any]], selection: Selection, stopped: Callable[[], bool]) -> Summary:
    """Count what the selection takes. Raises `Stopped`."""
    by_type: Counter[str] = Counter()
    number_of_jobs = 0
    earliest: list[tuple[Position, str]] = []
    last: datetime | None = None
    for job_id, _, taken in _histories(jobs, selection, stopped):
        number_of_jobs += 1
        by_type.update(entry.type for _, entry in taken)
        positions = [(Position(time, job_id, entry.seq), entry.type) for time, entry in taken]
        earliest = heapq.nsmallest(_SAMPLE, earliest + positions)
        newest = taken[-1][0]
        last = max(last, newest) if last else newest
    sample = tuple(
        {"type": type_, "job_id": position.job_id, "sequence": position.seq, "time": position.time}
        for position, type_ in earliest
    )
    first = earliest[0][0].time if earliest else None
    return Summary(by_type.total(), number_of_jobs, dict(by_type.most_common()), first, last, sample)


class EventHistory:
    """Events in order of their position, from sorted files."""

    def __init__(self, pieces: list[Path]) -> None:
        self._merged = heapq.merge(*map(_read, pieces))

    def take(self, number: int) -> list[PastEvent]:
        """The next events, at most so many; none when there are no more."""
        return list(itertools.islice(self._merged, number))


def sort_past(
    jobs: Collection[dict[str, Any]],
    selection: Selection,
    marks: Marks,
    after: Position | None,
    folder: Path,
    stopped: Callable[[], bool],
    piece_bytes: int = _PIECE_BYTES,
) -> EventHistory:
    """The events that the selection takes and that come after `after`. Raises `Stopped`.

    `folder`: empty, for the files, until the last event has been taken. `piece_bytes`: how much is sorted at a time.
    """
    pieces: list[Path] = []
    piece: list[PastEvent] = []
    size = 0

    def write() -> None:
        pieces.append(_write(piece, folder / f"{len(pieces):06}"))
        piece.clear()

    for job_id, batch_type, taken in _histories(jobs, selection, stopped):
        for time, entry in taken:
            position = Position(time, job_id, entry.seq)
            if after is None or position > after:
                piece.append(_past_event(position, batch_type, entry, marks))
                size += len(piece[-1].body)
        if size >= piece_bytes:
            write()
            size = 0
    write()
    return EventHistory(pieces)


def past_events(jobs: Collection[dict[str, Any]], selection: Selection) -> Iterator[Event]:
    """The events that the selection takes as they were published first, job by job, in order for each."""
    for job_id, _, taken in _histories(jobs, selection, lambda: False):
        for _, entry in taken:
            yield event_of(job_id, entry)


def _histories(
    jobs: Collection[dict[str, Any]], selection: Selection, stopped: Callable[[], bool]
) -> Iterator[tuple[str, str, list[tuple[datetime, HistoryEntry]]]]:
    """Jobs with the events that are taken, and the times that these are ordered by. Leaves out those of a newer form."""
    for document in _documents(jobs, selection):
        if stopped():
            raise Stopped
        if document.get("schema", SCHEMA) > SCHEMA:
            continue
        history = history_of(document)
        # The clocks of two processes may differ by some milliseconds: one job's events stay in sequence all the same.
        times = itertools.accumulate((entry.time for entry in history), max)
        taken = [(time, entry) for time, entry in zip(times, history, strict=True) if selection.takes(entry)]
        if taken:
            yield document["_id"], document["type"], taken


def _documents(jobs: Collection[dict[str, Any]], selection: Selection) -> Iterator[dict[str, Any]]:
    """The jobs that may have such events, from the newest slice of time to the oldest.

    In slices, because the embedded database holds all that a query finds in memory; of jobs chosen by their ids there
    are few.
    """
    query = selection.query()
    if selection.job_ids:
        yield from _found(jobs, query)
        return
    high, width = selection.until or datetime.now(UTC), _FIRST_SLICE
    while high > _BEFORE_ALL:
        low = max(high - width, _BEFORE_ALL)
        where = query | {"created_at": {"$gte": low, "$lt": high}}
        size = jobs.count_documents(where)
        if size > _MANY and width > _NARROWEST:
            width /= 2
            continue
        if size:
            yield from _found(jobs, where)
        high = low
        if size < _FEW:
            width *= 4


def _found(jobs: Collection[dict[str, Any]], where: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The jobs; by a new query for the rest where the server has ended the cursor, as it does to slow readers."""
    seen: list[Any] = []
    while True:
        before = len(seen)
        query = {"$and": [where, {"_id": {"$nin": seen}}]} if seen else where
        try:
            for document in jobs.find(query, list(_PROJECTION)):
                seen.append(document["_id"])
                yield document
            return
        except CursorNotFound:
            if len(seen) == before:
                raise


def _past_event(position: Position, batch_type: str, entry: HistoryEntry, marks: Marks) -> PastEvent:
    event = replace(
        event_of(position.job_id, entry), replayid=marks.replay_id, replayedat=marks.at, replayedby=marks.by
    )
    key = topics.routing_key(event.type, batch_type, position.job_id)
    return PastEvent(position, event.id, key, encode(event))


def _write(piece: list[PastEvent], path: Path) -> Path:
    piece.sort()
    with path.open("wb") as file:
        for (time, job_id, seq), event_id, routing_key, body in piece:
            file.write(
                bson.encode({"at": time, "of": job_id, "seq": seq, "id": event_id, "key": routing_key, "is": body})
            )
    return path


def _read(path: Path) -> Generator[PastEvent, None, None]:
    with path.open("rb") as file:
        for read in bson.decode_file_iter(file, _AWARE):
            yield PastEvent(Position(read["at"], read["of"], read["seq"]), read["id"], read["key"], read["is"])

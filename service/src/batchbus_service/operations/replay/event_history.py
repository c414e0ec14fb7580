"""The past, read from the jobs' histories: counted for a plan, or put in order of time with flat memory.

The store gives the histories in no order. What does not fit into memory is sorted in pieces on disk, and merged.

All of this blocks, and runs in a thread of its own.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from batchbus_events import topics
from batchbus_events.event import Event, encode
from batchbus_service.domain.job import HistoryEntry
from batchbus_service.domain.ports import HistoryReader
from batchbus_service.domain.replay import Position
from batchbus_service.domain.selection import Selection
from batchbus_service.journal.messages import event_of

__all__ = [
    "EventHistory",
    "HistoryEvent",
    "ReplayLabel",
    "Stopped",
    "Summary",
    "history_events",
    "sort_history",
    "sum_up",
]

_SAMPLE: Final = 10
_PIECE_BYTES: Final = 16 * 1024 * 1024
"""What is sorted in memory at a time, as encoded."""


class Stopped(Exception):
    """Reading was called off."""


class ReplayLabel(NamedTuple):
    """What is added to an event that is published again."""

    replay_id: str
    at: datetime
    by: str


class HistoryEvent(NamedTuple):
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
    sample: tuple[Mapping[str, object], ...]
    """The first few events, in order."""


def sum_up(histories: HistoryReader, selection: Selection, stopped: Callable[[], bool]) -> Summary:
    """Count what the selection takes. Raises `Stopped`."""
    by_type: Counter[str] = Counter()
    number_of_jobs = 0
    earliest: list[tuple[Position, str]] = []
    last: datetime | None = None
    for job_id, _, taken in _taken(histories, selection, stopped):
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

    def take(self, number: int) -> list[HistoryEvent]:
        """The next events, at most so many; none when there are no more."""
        return list(itertools.islice(self._merged, number))


def sort_history(
    histories: HistoryReader,
    selection: Selection,
    label: ReplayLabel,
    after: Position | None,
    folder: Path,
    stopped: Callable[[], bool],
    piece_bytes: int = _PIECE_BYTES,
) -> EventHistory:
    """The events that the selection takes and that come after `after`. Raises `Stopped`.

    `folder`: empty, for the files, until the last event has been taken. `piece_bytes`: how much is sorted at a time.
    """
    pieces: list[Path] = []
    piece: list[HistoryEvent] = []
    size = 0

    def write() -> None:
        pieces.append(_write(piece, folder / f"{len(pieces):06}"))
        piece.clear()

    for job_id, batch_type, taken in _taken(histories, selection, stopped):
        for time, entry in taken:
            position = Position(time, job_id, entry.seq)
            if after is None or position > after:
                piece.append(_history_event(position, batch_type, entry, label))
                size += len(piece[-1].body)
        if size >= piece_bytes:
            write()
            size = 0
    write()
    return EventHistory(pieces)


def history_events(histories: HistoryReader, selection: Selection) -> Iterator[Event]:
    """The events that the selection takes as they were published first, job by job, in order for each."""
    for job_id, _, taken in _taken(histories, selection, lambda: False):
        for _, entry in taken:
            yield event_of(job_id, entry)


def _taken(
    histories: HistoryReader, selection: Selection, stopped: Callable[[], bool]
) -> Iterator[tuple[str, str, list[tuple[datetime, HistoryEntry]]]]:
    """Jobs with the events that are taken, and the times that these are ordered by."""
    for job_id, batch_type, history in histories.read(selection):
        if stopped():
            raise Stopped
        # The clocks of two processes may differ by some milliseconds: one job's events stay in sequence all the same.
        times = itertools.accumulate((entry.time for entry in history), max)
        taken = [(time, entry) for time, entry in zip(times, history, strict=True) if selection.takes(entry)]
        if taken:
            yield job_id, batch_type, taken


def _history_event(position: Position, batch_type: str, entry: HistoryEntry, label: ReplayLabel) -> HistoryEvent:
    event = replace(
        event_of(position.job_id, entry), replayid=label.replay_id, replayedat=label.at, replayedby=label.by
    )
    key = topics.routing_key(event.type, batch_type, position.job_id)
    return HistoryEvent(position, event.id, key, encode(event))


def _write(piece: list[HistoryEvent], path: Path) -> Path:
    """One line of JSON for each event, with its body, which is JSON itself, as a text in it."""
    piece.sort()
    with path.open("w", encoding="utf-8") as file:
        for (time, job_id, seq), event_id, routing_key, body in piece:
            file.write(json.dumps([time.isoformat(), job_id, seq, event_id, routing_key, body.decode()]) + "\n")
    return path


def _read(path: Path) -> Generator[HistoryEvent, None, None]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            time, job_id, seq, event_id, routing_key, body = json.loads(line)
            yield HistoryEvent(
                Position(datetime.fromisoformat(time), job_id, seq), event_id, routing_key, body.encode()
            )

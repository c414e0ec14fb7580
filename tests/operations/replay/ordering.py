"""In which order the events of a replay come: each job's in sequence, and those of all jobs by time but for a batch."""

from __future__ import annotations

from collections.abc import Iterable

from batchbus_events.event import Event
from batchbus_service.operations.replay.replay_attempt import BATCH

__all__ = ["assert_in_order"]


def assert_in_order(events: Iterable[Event]) -> None:
    """Of an event that came twice, the first counts. Each job has all of its events."""
    first = list({event.id: event for event in events}.values())
    sequences: dict[str | None, list[int | None]] = {}
    for event in first:
        sequences.setdefault(event.subject, []).append(event.sequence)
    assert all(sequence == list(range(1, len(sequence) + 1)) for sequence in sequences.values())
    # Those of one batch are sent side by side, and no batch begins before the one before it is confirmed.
    by_time = sorted(
        range(len(first)), key=lambda place: (first[place].time, first[place].subject, first[place].sequence)
    )
    assert all(abs(place - came) < BATCH for place, came in enumerate(by_time))

"""The past, read from histories in any order: counted, and put in order of time, whatever does not fit into memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import CursorNotFound

from batchbus_events.event import decode
from batchbus_service.domain.job import Job
from batchbus_service.domain.replay import Position
from batchbus_service.domain.selection import Selection
from batchbus_service.operations.replay.event_history import (
    HistoryEvent,
    ReplayLabel,
    Stopped,
    history_events,
    sort_history,
    sum_up,
)
from batchbus_service.storage.mongo.document import to_document
from batchbus_service.storage.mongo.histories import MongoHistoryReader
from tests.operations.replay.histories import BEGIN, finished_job

MARKS = ReplayLabel("replay_1", BEGIN + timedelta(days=1), "olga@example.com")

# Few moments, so that many events have the same time, and clocks that go back within one job.
histories = st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=5), max_size=12).map(
    lambda jobs: [
        finished_job(str(number), [BEGIN + timedelta(milliseconds=moment) for moment in moments])
        for number, moments in enumerate(jobs)
    ]
)


class Stored:
    """As much of a collection as is read: jobs by when they were created. Other conditions are MongoDB's matter."""

    def __init__(self, jobs: list[Job]) -> None:
        self.documents = [to_document(job) for job in jobs]

    def find(self, where: dict[str, Any], _: object) -> list[dict[str, Any]]:
        bounds = where["created_at"]
        return [job for job in self.documents if bounds["$gte"] <= job["created_at"] < bounds["$lt"]]

    def count_documents(self, where: dict[str, Any]) -> int:
        return len(self.find(where, None))


def reading(stored: Stored) -> MongoHistoryReader:
    """Reads it as if it were the collection of the jobs, which Motor has under `delegate`."""
    collection = SimpleNamespace(delegate=stored)
    return MongoHistoryReader(cast(Any, SimpleNamespace(get_collection=lambda *_, **__: collection)))


def sorted_past(
    jobs: list[Job], selection: Selection, after: Position | None = None, piece_bytes: int = 1000
) -> list[HistoryEvent]:
    with tempfile.TemporaryDirectory() as folder:
        past = sort_history(reading(Stored(jobs)), selection, MARKS, after, Path(folder), lambda: False, piece_bytes)
        events: list[HistoryEvent] = []
        while taken := past.take(3):
            events += taken
        return events


@given(jobs=histories, piece_bytes=st.integers(1, 20_000))
def test_every_event_comes_once_by_time_and_in_its_jobs_sequence(jobs: list[Job], piece_bytes: int) -> None:
    events = sorted_past(jobs, Selection(), piece_bytes=piece_bytes)

    assert sorted(event.id for event in events) == sorted(entry.id for job in jobs for entry in job.history)
    assert [event.position for event in events] == sorted(event.position for event in events)
    for job in jobs:
        sequence = [event.position.seq for event in events if event.position.job_id == job.id]
        assert sequence == [entry.seq for entry in job.history]


@given(jobs=histories, data=st.data())
def test_a_replay_goes_on_after_any_event_of_it(jobs: list[Job], data: st.DataObject) -> None:
    whole = sorted_past(jobs, Selection())
    done = data.draw(st.integers(0, len(whole)))

    assert sorted_past(jobs, Selection(), after=whole[done - 1].position if done else None) == whole[done:]


@given(jobs=histories, since=st.integers(0, 20), length=st.integers(1, 20))
def test_a_plan_counts_what_would_be_published(jobs: list[Job], since: int, length: int) -> None:
    begin = BEGIN + timedelta(milliseconds=since)
    selection = Selection(
        since=begin, until=begin + timedelta(milliseconds=length), types=("batch.created", "batch.completed")
    )

    events = sorted_past(jobs, selection)
    summary = sum_up(reading(Stored(jobs)), selection, lambda: False)

    assert summary.events == len(events)
    assert summary.jobs == len({event.position.job_id for event in events})
    assert summary.by_type == Counter(decode(event.body).type for event in events)
    assert (summary.first, summary.last) == (
        (events[0].position.time, events[-1].position.time) if events else (None, None)
    )
    assert [(told["job_id"], told["sequence"]) for told in summary.sample] == [
        event.position[1:] for event in events[:10]
    ]


def test_an_event_is_the_same_event_with_the_marks_of_its_replay() -> None:
    (job,) = [finished_job("one", [BEGIN], batch_type="product-import")]

    (past,) = sorted_past([job], Selection())

    event = decode(past.body)
    assert (event.id, event.sequence, event.time, event.subject) == (job.history[0].id, 1, BEGIN, job.id)
    assert (event.replayid, event.replayedat, event.replayedby) == MARKS
    assert past.routing_key == f"batch.created.product-import.{job.id}"


def test_jobs_of_a_newer_form_are_left_out() -> None:
    stored = Stored([finished_job("one", [BEGIN]), finished_job("two", [BEGIN])])
    stored.documents[0]["schema"] = 99

    assert sum_up(reading(stored), Selection(), lambda: False).events == 1


def test_reading_can_be_called_off() -> None:
    with pytest.raises(Stopped):
        sum_up(reading(Stored([finished_job("one", [BEGIN])])), Selection(), lambda: True)


class SlowlyRead(Stored):
    """Ends its cursors after a few documents, as a server does whose reader takes longer than ten minutes for them."""

    def find(self, where: dict[str, Any], _: object) -> Any:
        bounds, *seen = where.get("$and", [where])
        found = [job for job in super().find(bounds, None) if not seen or job["_id"] not in seen[0]["_id"]["$nin"]]
        yield from found[:2]
        if len(found) > 2:
            raise CursorNotFound("cursor id 1 not found")

    def count_documents(self, where: dict[str, Any]) -> int:
        return len(super().find(where, None))


def test_a_cursor_that_the_server_has_ended_is_followed_by_another() -> None:
    jobs = [finished_job(str(number), [BEGIN, BEGIN + timedelta(seconds=1)]) for number in range(7)]
    found = [(event.subject, event.sequence) for event in history_events(reading(SlowlyRead(jobs)), Selection())]
    assert sorted(found) == sorted((job.id, seq) for job in jobs for seq in (1, 2))

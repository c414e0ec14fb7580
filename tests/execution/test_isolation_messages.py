"""What goes over the wire between a worker and its children: jobs, states and errors come out as they went in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from batchbus_service.domain.errors import NotStorable
from batchbus_service.domain.job import Checkpoint, Job, Lease, Status
from batchbus_service.domain.result import JobResult
from batchbus_service.execution.execution import RaisedInChild, RunStalled, error_text
from batchbus_service.execution.isolation.isolated import MirroredRun
from batchbus_service.execution.isolation.messages import (
    OutOfMemory,
    checkpoint_from,
    error_from,
    error_to,
    job_from,
    job_to,
    packed,
    read,
    state_of,
)
from batchbus_service.execution.isolation.setup import Setup
from batchbus_service.execution.job_run import EngineJobRun
from batchbus_service.execution.lease import Lease as HeldLease
from batchbus_service.storage.clock import SystemClock
from batchbus_strategies import JobRefused, LeaseLost, RunCanceled, StrategyError

if TYPE_CHECKING:
    from batchbus_service.execution.worker_services import WorkerServices
    from batchbus_strategies import Services

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0."), min_size=1).filter(
    lambda text: not text.startswith("$")
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(_TEXT, below, max_size=4),
    max_leaves=12,
)
_NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def _through(*messages: bytes, cut: int | None = None) -> list[object]:
    async def all_read() -> list[object]:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(messages)[:cut])
        reader.feed_eof()
        found: list[object] = []
        while (message := await read(reader)) is not None:
            found.append(message)
        return found

    return asyncio.run(all_read())


@given(context=st.dictionaries(_TEXT, _JSON, max_size=4), state=_JSON, fence=st.integers(1, 2**40))
def test_a_job_arrives_with_all_that_its_run_needs(context: dict[str, object], state: object, fence: int) -> None:
    job = Job(
        id="batch_1",
        type="chunks",
        dry_run=True,
        context=context,  # type: ignore[arg-type]
        created_by="bus:tests",
        request_digest="",
        status=Status.PROCESSING,
        created_at=_NOW,
        updated_at=_NOW,
        fence=fence,
        lease=Lease("worker-1", _NOW),
        checkpoint=Checkpoint("process", state, 3, 2, 1),  # type: ignore[arg-type]
        result=JobResult.read(context),  # type: ignore[arg-type]
        crashes=1,
    )
    (message,) = _through(packed({"job": job_to(job)}))
    assert job_from(message["job"]) == job  # type: ignore[index]


@given(messages=st.lists(st.dictionaries(_TEXT, _JSON, max_size=3), max_size=5), cut=st.integers(0, 200))
def test_messages_come_whole_or_not_at_all(messages: list[dict[str, object]], cut: int) -> None:
    documents = [packed(message) for message in messages]
    assert _through(*documents) == messages
    assert _through(*documents, cut=cut) == messages[: len(_through(*documents, cut=cut))]


def test_what_is_no_message_is_an_error_and_no_endless_wait() -> None:
    for nonsense, why in (
        (b"\xff\xff\xff\xff....", "cannot have"),
        (b"\x02\x00\x00\x00", "cannot have"),
        (b"\x0c\x00\x00\x00garbage!", "bad eoo"),
    ):
        with pytest.raises(ValueError, match=why):
            _through(nonsense)


def test_what_the_database_cannot_hold_is_not_sent() -> None:
    with pytest.raises(NotStorable):
        packed({"result": {"n": 2**70}})


@pytest.mark.parametrize(
    "error", [StrategyError("no"), JobRefused("no", field="x"), RunCanceled("x"), LeaseLost("x"), RunStalled("slow")]
)
def test_errors_that_the_engine_tells_apart_stay_of_their_kind(error: BaseException) -> None:
    again = error_from(error_to(error, ""))
    assert isinstance(error, type(again)) and str(again) == str(error)


def test_any_other_error_is_kept_in_the_words_of_a_job() -> None:
    again = error_from(error_to(KeyError("sku"), "Traceback: ...", full=True))
    assert isinstance(again, RaisedInChild) and again.full
    assert error_text(again) == error_text(KeyError("sku")) == "KeyError: 'sku'"
    assert "Traceback: ..." in str(again.__cause__)


def test_too_much_memory_is_told_with_the_place() -> None:
    def fills() -> None:
        raise MemoryError

    with pytest.raises(MemoryError) as caught:
        fills()
    again = error_from(error_to(caught.value, ""))
    assert isinstance(again, OutOfMemory) and "fills (" in str(again)


def test_a_checkpoint_is_the_same_on_both_sides() -> None:
    checkpoint = Checkpoint("process", {"row": 7}, 7, 1, 1)
    (message,) = _through(
        packed({"phase": "process", "state": {"row": 7}, "advanced": 7, "errors": 1, "error_parts": 1})
    )
    assert checkpoint_from(message) == checkpoint  # type: ignore[arg-type]


def test_the_setup_of_a_child_is_the_same_on_both_sides() -> None:
    setup = Setup(
        catalog_url="mongodb://catalog:secret@db/",
        catalog_database="catalog",
        files_url="file:///files",
        strategies_folder=None,
        memory_mib=512,
        progress_interval=0.25,
        log_format=None,
        log_level="info",
        path=["/a"],
    )
    assert Setup.from_document(setup.to_document()) == setup


async def test_what_a_child_said_of_the_phase_before_is_not_the_progress_of_this_one() -> None:
    def run_in(status: Status) -> EngineJobRun:
        job = Job(
            id="batch_1",
            type="chunks",
            dry_run=False,
            context={},
            created_by="bus:tests",
            request_digest="",
            status=status,
            created_at=_NOW,
            updated_at=_NOW,
            result=JobResult(count=3),
        )
        clock = SystemClock()
        lease = HeldLease(clock, clock.monotonic() + 30)
        unused = cast("Services", None), structlog.get_logger()
        return EngineJobRun(job, *unused, clock, lease=lease, worker=cast("WorkerServices", None))

    before, now = run_in(Status.CREATED), run_in(Status.PROCESSING)
    mirrored = MirroredRun(now, lambda _: None)
    await before.advance(2)
    mirrored.take(state_of(before))
    assert (mirrored.progress().advanced, mirrored.progress().share) == (0, 0.0)
    await now.advance(1)
    mirrored.take(state_of(now))
    assert mirrored.progress().advanced == 1

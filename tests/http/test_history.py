"""Why a job is where it is, and the way out, in every situation it can be in; and over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from batchbus_service.domain.explanation import Served, explain
from batchbus_service.domain.job import Checkpoint, Job, Status
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from tests.http.conftest import Person, Site

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
POLICY = Policy()
ANN = Cause(by="usr_ann")
JOB = "batch_1"

numbers = count()
decider = Decider(POLICY, lambda: f"event-{next(numbers)}")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def created(*, dry_run: bool = False) -> Job:
    """At 12:00."""
    request = NewJob(id=JOB, type="rows", context={}, dry_run=dry_run, created_by="usr_ann", request_digest="d")
    return decider.create(request, at(0), ANN)


def previewing(*, dry_run: bool = False) -> Job:
    """At 12:01, by the worker w1."""
    return decider.claim(created(dry_run=dry_run), "w1", at(1))


def rests(*, dry_run: bool = True) -> Job:
    """Pre-processed at 12:02; ready to be processed if it is no dry run."""
    return decider.pre_processed(previewing(dry_run=dry_run), at(2), Cause(), go_on=False)


def processing() -> Job:
    """At 12:03, by the worker w2."""
    return decider.claim(rests(dry_run=False), "w2", at(3))


def lost(times: int) -> Job:
    job = processing()
    for n in range(times):
        if n:
            job = decider.claim(job, "w2", at(4 + n))
        job = decider.run_lost(job, at(4 + n), "OSError: no disk.", Cause())
    return job


def failed_after(checkpoint: Checkpoint | None = None) -> Job:
    return decider.failed(replace(processing(), checkpoint=checkpoint), at(5), "The file is empty.", Cause())


SITUATIONS: dict[str, tuple[Callable[[], Job], float, Served, str, str | None]] = {
    "waits for a slot here": (
        created,
        1,
        Served.HERE,
        "It waits, since 2024-03-01 12:00:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process does, and takes the oldest first.",
        "It goes on by itself, and sooner with another `batchbus worker` or more BATCHBUS_WORKER_PREVIEW_SLOTS. "
        "`batchbus cancel batch_1` calls it off.",
    ),
    "waits for a slot to be processed": (
        lambda: rests(dry_run=False),
        3,
        Served.HERE,
        "It waits, since 2024-03-01 12:02:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process does, and takes the oldest first.",
        "It goes on by itself, and sooner with another `batchbus worker` or more BATCHBUS_WORKER_SLOTS. "
        "`batchbus cancel batch_1` calls it off.",
    ),
    "waits for other processes": (
        created,
        1,
        Served.ELSEWHERE,
        "It waits, since 2024-03-01 12:00:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process runs no jobs of that type itself.",
        "See that a `batchbus worker` runs whose BATCHBUS_WORKER_TYPES has rows or is not set, and that its "
        "BATCHBUS_WORKER_PREVIEW_SLOTS are enough. `batchbus cancel batch_1` calls it off.",
    ),
    "waits for a type that nobody here knows": (
        created,
        1,
        Served.UNKNOWN,
        "It waits, since 2024-03-01 12:00:00 UTC, for a worker that serves the type rows, and this process has no "
        "strategy for it.",
        "Start a worker that has one: from a package, or in the folder BATCHBUS_STRATEGIES_DIR; `batchbus types` says "
        "which there are. `batchbus cancel batch_1` calls it off.",
    ),
    "waits, and is confirmed already": (
        lambda: decider.confirm(created(dry_run=True), at(0.5), ANN, early=True),
        1,
        Served.HERE,
        "It waits, since 2024-03-01 12:00:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process does, and takes the oldest first. It is confirmed already, and goes on when it is pre-processed.",
        "It goes on by itself, and sooner with another `batchbus worker` or more BATCHBUS_WORKER_PREVIEW_SLOTS. "
        "`batchbus cancel batch_1` calls it off.",
    ),
    "is pre-processed": (
        previewing,
        1,
        Served.HERE,
        "Worker w1 pre-processes it; its lease ends at 2024-03-01 12:01:30 UTC unless it is renewed.",
        "`batchbus watch batch_1` follows it, `batchbus cancel batch_1` stops it.",
    ),
    "is processed": (
        processing,
        3,
        Served.ELSEWHERE,
        "Worker w2 processes it; its lease ends at 2024-03-01 12:03:30 UTC unless it is renewed.",
        "`batchbus watch batch_1` follows it, `batchbus cancel batch_1` stops it.",
    ),
    "is processed again": (
        lambda: decider.claim(lost(2), "w3", at(9)),
        9,
        Served.HERE,
        "Worker w3 processes it; its lease ends at 2024-03-01 12:09:30 UTC unless it is renewed. "
        "Runs that failed or were lost before, in a row: 2.",
        "`batchbus watch batch_1` follows it, `batchbus cancel batch_1` stops it.",
    ),
    "is left by its worker": (
        processing,
        9,
        Served.HERE,
        "Worker w2 had it, and has not renewed its lease, which ended at 2024-03-01 12:03:30 UTC.",
        "It is given to another worker in a moment, if any process of batchbus is running.",
    ),
    "was given back": (
        lambda: decider.released(processing(), at(4)),
        5,
        Served.HERE,
        "It waits, since 2024-03-01 12:04:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process does, and takes the oldest first.",
        "It goes on by itself, and sooner with another `batchbus worker` or more BATCHBUS_WORKER_SLOTS. "
        "`batchbus cancel batch_1` calls it off.",
    ),
    "is tried again later": (
        lambda: lost(3),
        6,
        Served.HERE,
        "Its last run failed: OSError: no disk. It is tried again at 2024-03-01 12:06:04 UTC; of 5 runs that may fail in "
        "a row, 3 have.",
        "It goes on by itself. `batchbus cancel batch_1` stops it.",
    ),
    "was lost with its worker": (
        lambda: decider.overdue(processing(), at(4)),
        5,
        Served.HERE,
        "It waits, since 2024-03-01 12:04:00 UTC, for a worker that serves the type rows and has a free slot; "
        "this process does, and takes the oldest first. Its last run was lost with its worker, so the next has a process "
        "of its own.",
        "It goes on by itself, and sooner with another `batchbus worker` or more BATCHBUS_WORKER_SLOTS. "
        "`batchbus cancel batch_1` calls it off.",
    ),
    "ended its own process": (
        lambda: decider.crashed(processing(), at(4), "The process of the run ended by SIGSEGV.", Cause(), jitter=60),
        4.5,
        Served.HERE,
        "Its last run failed: The process of the run ended by SIGSEGV. It is tried again at 2024-03-01 12:05:00 UTC, in a "
        "process of its own; of 5 runs that may fail in a row, 1 have.",
        "It goes on by itself. `batchbus cancel batch_1` stops it.",
    ),
    "ended its own process twice": (
        lambda: decider.crashed(
            decider.claim(decider.crashed(processing(), at(4), "SIGSEGV", Cause()), "w2", at(5)),
            at(6),
            "SIGSEGV",
            Cause(),
        ),
        7,
        Served.HERE,
        "It failed at 2024-03-01 12:06:00 UTC: SIGSEGV. 2 runs in a row ended the process that each had for itself, so it "
        "is the job's fault.",
        "Mend what the error names; then `batchbus retry batch_1`: it is processed from the beginning.",
    ),
    "waits for a confirmation": (
        rests,
        3,
        Served.HERE,
        "It is a dry run and waits for a confirmation until 2024-03-08 12:02:00 UTC.",
        "`batchbus confirm batch_1` lets it go on, `batchbus cancel batch_1` calls it off; if nobody does either, it is "
        "canceled then. `batchbus check-again batch_1` makes the plan anew.",
    ),
    "is completed": (
        lambda: decider.completed(processing(), at(4), Cause()),
        5,
        Served.HERE,
        "It was completed at 2024-03-01 12:04:00 UTC; nothing more will happen.",
        None,
    ),
    "failed for good": (
        failed_after,
        6,
        Served.HERE,
        "It failed at 2024-03-01 12:05:00 UTC: The file is empty. Another run would end the same way, so it is not tried "
        "again by itself.",
        "Mend what the error names; then `batchbus retry batch_1`: it is processed from the beginning.",
    ),
    "failed for good with a file": (
        lambda: replace(failed_after(), context={"fileKey": "rows.csv"}),
        6,
        Served.HERE,
        "It failed at 2024-03-01 12:05:00 UTC: The file is empty. Another run would end the same way, so it is not tried "
        "again by itself.",
        "Mend what the error names; then `batchbus retry batch_1`: it is processed from the beginning. It reads the same "
        "file again; for another one, `batchbus submit rows --file FILE` makes another job.",
    ),
    "failed behind a checkpoint": (
        lambda: failed_after(Checkpoint("process", 7)),
        6,
        Served.HERE,
        "It failed at 2024-03-01 12:05:00 UTC: The file is empty. Another run would end the same way, so it is not tried "
        "again by itself.",
        "Mend what the error names; then `batchbus retry batch_1`: it goes on from its last checkpoint.",
    ),
    "failed in its preview": (
        lambda: decider.failed(previewing(), at(2), "No such column", Cause()),
        6,
        Served.HERE,
        "It failed at 2024-03-01 12:02:00 UTC: No such column. Another run would end the same way, so it is not tried "
        "again by itself.",
        "Mend what the error names; then `batchbus retry batch_1`: it is pre-processed again.",
    ),
    "failed in its preview of a file": (
        lambda: replace(
            decider.failed(previewing(), at(2), "No such column", Cause()), context={"fileKey": "rows.csv"}
        ),
        6,
        Served.HERE,
        "It failed at 2024-03-01 12:02:00 UTC: No such column. Another run would end the same way, so it is not tried "
        "again by itself.",
        "Mend what the error names; then `batchbus retry batch_1`: it is pre-processed again. It reads the same file "
        "again; `batchbus check-again batch_1 --file FILE` takes another one.",
    ),
    "failed too often": (
        lambda: lost(5),
        9,
        Served.HERE,
        "It failed at 2024-03-01 12:08:00 UTC: OSError: no disk. 5 runs in a row failed, which is the most that may.",
        "Mend what the error names; then `batchbus retry batch_1`: it is processed from the beginning.",
    ),
    "was canceled while it ran": (
        lambda: decider.cancel(processing(), at(3.1), Cause(by="usr_bob")),
        3.2,
        Served.HERE,
        "It was canceled by usr_bob at 2024-03-01 12:03:06 UTC, when it was processing. Worker w2 is still stopping its "
        "run.",
        "Once that has stopped, `batchbus retry batch_1` takes it up again; the worker's lease ends at 2024-03-01 "
        "12:03:30 UTC unless it is renewed.",
    ),
    "was canceled over the bus, and has stopped": (
        lambda: decider.stopped(
            decider.cancel(processing(), at(3.1), Cause(by="bus:/shop"), reason="wrong file."), at(3.2), Cause()
        ),
        4,
        Served.HERE,
        "It was canceled by bus:/shop at 2024-03-01 12:03:06 UTC, when it was processing: wrong file.",
        "`batchbus retry batch_1`: it is processed from the beginning.",
    ),
    "was not confirmed in time": (
        lambda: decider.overdue(rests(), at(60 * 24 * 8)),
        60 * 24 * 8,
        Served.HERE,
        "It was canceled at 2024-03-09 12:00:00 UTC, when it was pre_processed: it was not confirmed in time.",
        "`batchbus retry batch_1`: it is pre-processed again.",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_in_every_situation_it_is_said_why_and_what_to_do(situation: str) -> None:
    make, minutes, served, why, hint = SITUATIONS[situation]
    known = explain(make(), at(minutes), POLICY, served, file_fields=["fileKey"])
    assert (known.why, known.hint) == (why, hint)


def test_there_is_a_situation_for_every_status() -> None:
    assert {make().status for make, *_ in SITUATIONS.values()} == set(Status)


async def test_the_history_tells_every_event_and_why_the_job_is_where_it_is(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    told = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/history")).json()
    assert [(entry["sequence"], entry["type"]) for entry in told["history"]] == [
        (1, "batch.created"),
        (2, "batch.pre_processed"),
    ]
    assert told["why"].startswith("It is a dry run and waits for a confirmation until ")
    assert f"`batchbus confirm {job['id']}`" in told["way_out"]


async def test_the_history_tells_who_canceled_a_job(ann: Person, olga: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    await olga.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
    told = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/history")).json()
    assert told["history"][-1]["data"]["by"] == olga.user.id
    assert told["why"].startswith(f"It was canceled by {olga.user.id} at ")

"""What must hold: at every write of a job, and when everything has come to rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from batchbus_events.bus import Message
from batchbus_events.event import Event, decode
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.moves import MOVES
from batchbus_service.domain.plans import REFUSED
from batchbus_strategies import Json
from tests.simulation.plan import Ask, Operate, Plan
from tests.storage.memory.jobs import MemoryJobStore

__all__ = ["BY_DIGEST", "CheckedStore", "Effects", "Violation", "check_end", "rests"]

_ALLOWED: Final = {(move.source, move.target) for move in MOVES}

BY_DIGEST: Final = "plan "
"""Who confirms a plan over HTTP is called like it."""

Effects = dict[str, list[tuple[int, int]]]
"""Of each job, which run did which chunk, in the order of the writes."""


class Violation(AssertionError):
    """Something that must hold does not."""


def _must(holds: object, job_id: str, words: str) -> None:
    if not holds:
        raise Violation(f"{job_id}: {words}")


def _nothing_more(_old: Job | None, _new: Job) -> None:
    """Looks at a write of a job and finds nothing wrong with it."""


class _CheckedJobs(dict[str, Job]):
    def __init__(self) -> None:
        super().__init__()
        self.look_at: Callable[[Job | None, Job], None] = _nothing_more

    def __setitem__(self, job_id: str, new: Job) -> None:
        old = self.get(job_id)
        if old is not None:
            _must(new.history[: len(old.history)] == old.history, job_id, "its history was rewritten")
            _must(new.version in (old.version, old.version + 1), job_id, "its version jumped")
            _must(new.version > old.version or new.status is old.status, job_id, "its status changed without a version")
            _must(new.fence >= old.fence, job_id, "its fence went back")
            _must(new.published >= old.published, job_id, "its mark went back")
        _must(new.published <= len(new.history), job_id, "more is published than there is")
        _must(_path_is_legal(new), job_id, f"its history is no legal path: {[entry.type for entry in new.history]}")
        waits = new.lease is not None or new.published < len(new.history) or new.confirm_by is not None
        _must(new.wake_at is not None or not waits, job_id, "it has no alarm, and somebody may have to look after it")
        self.look_at(old, new)
        super().__setitem__(job_id, new)


class CheckedStore(MemoryJobStore):
    """Looks at every job that is written, and has `look_at` do so, too."""

    def __init__(self) -> None:
        super().__init__()
        self._checked = _CheckedJobs()
        self.jobs = self._checked

    def look_at(self, look: Callable[[Job | None, Job], None]) -> None:
        self._checked.look_at = look


def _path_is_legal(job: Job) -> bool:
    status: Status | None = None
    for entry in job.history:
        reached = Status(str(entry.data["status"]))
        # A job that is checked again is told by `batch.updated`: there is one `batch.created`, but for retries.
        if entry.type == "batch.updated" and (reached is status or (reached is Status.CREATED and status)):
            if reached is not status and (status, reached) not in _ALLOWED:
                return False
        elif entry.type != f"batch.{reached}":
            return False
        elif status is None:
            if reached is not Status.CREATED:
                return False
        elif (status, reached) not in _ALLOWED:
            return False
        status = reached
    return status is job.status


def rests(job: Job) -> bool:
    at_rest = job.terminal or job.status is Status.PRE_PROCESSED
    return at_rest and job.lease is None and job.published == len(job.history)


def check_end(plan: Plan, jobs: Mapping[str, Job], published: Iterable[Message], effects: Effects) -> None:
    """Raises `Violation`."""
    events = [event for message in published if (event := decode(message.body)).replayid is None]
    _check_events(plan, jobs, events)
    _check_answers(plan, jobs, events)
    _check_plans(plan, jobs, events)
    for number, script in enumerate(plan.scripts):
        if (job := jobs.get(plan.job_id(number))) and not (script.refuses or script.deaths):
            _must(job.status is not Status.FAILED, job.id, f"it failed, and has done nothing wrong: {job.result}")
    for job_id, done in effects.items():
        runs = [run for run, _ in done]
        _must(runs == sorted(runs), job_id, f"an earlier run wrote after a later one: {done}")
        if jobs[job_id].status is Status.COMPLETED:
            chunks = {chunk for _, chunk in done}
            _must(chunks == set(range(len(chunks))), job_id, f"a chunk was never written: {done}")
        if plan.without_faults:
            again = [chunk for chunk, times in Counter(chunk for _, chunk in done).items() if times > 1]
            _must(not again or _was_retried(plan, job_id), job_id, f"without a fault, chunks were repeated: {again}")


def _was_retried(plan: Plan, job_id: str) -> bool:
    return any(isinstance(action, Operate) and plan.job_id(action.job) == job_id for action in plan.actions)


def _check_events(plan: Plan, jobs: Mapping[str, Job], events: list[Event]) -> None:
    first_seen: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.sequence is not None and event.subject and event.sequence not in first_seen[event.subject]:
            first_seen[event.subject].append(event.sequence)
    for job_id, job in jobs.items():
        _must(first_seen[job_id] == list(range(1, len(job.history) + 1)), job_id, f"events: {first_seen[job_id]}")
        ends = Counter(entry.type for entry in job.history)
        _must(ends["batch.completed"] <= 1, job_id, "it was completed twice")
    if plan.without_faults:
        times = Counter(event.id for event in events if event.sequence is not None)
        for event in events:
            _must(
                times[event.id] <= 1, str(event.subject), f"without a fault, its {event.type} was published repeatedly"
            )


def _check_plans(plan: Plan, jobs: Mapping[str, Job], events: list[Event]) -> None:
    """No other plan is confirmed than the one that a confirmation names, and whose early one does not count is told so."""
    asked = {trigger_id_of(plan, action): action.digest for action in plan.actions if isinstance(action, Ask)}
    rejected = Counter(event.causationid for event in events if event.type == "batch.rejected")
    for job in jobs.values():
        digest: Json = None
        for entry in job.history:
            if entry.type == "batch.pre_processed":
                digest = entry.data.get("plan_digest")
            if entry.type == "batch.confirmed":
                by = str(entry.data.get("by"))
                over_http = by.removeprefix(BY_DIGEST) if by.startswith(BY_DIGEST) else None
                named = over_http or asked.get(entry.causationid or "")
                _must(named in (None, digest), job.id, f"the plan {digest} was confirmed by a confirmation of {named}")
            if isinstance(refused := entry.data.get(REFUSED), dict):
                trigger_id = str(refused["causationid"])
                _must(rejected[trigger_id], job.id, f"{trigger_id} does not count any more, and nobody was told")


def _check_answers(plan: Plan, jobs: Mapping[str, Job], events: list[Event]) -> None:
    """Every trigger was carried out, or its sender was told why not."""
    rejected = {event.causationid: event.data["reason"] for event in events if event.type == "batch.rejected"}
    asks = [action for action in plan.actions if isinstance(action, Ask)]
    for ask in asks:
        job_id, trigger_id = plan.job_id(ask.job), trigger_id_of(plan, ask)
        job = jobs.get(job_id)
        if trigger_id in rejected:
            # Whatever was asked of a job came within minutes of it, in all plans, outages apart.
            _must(rejected[trigger_id] != "unknown_job" or job is None, job_id, f"{trigger_id} was not waited for")
            continue
        _must(job, job_id, f"{trigger_id} was accepted, and there is no such job")
        assert job is not None
        carried_out = trigger_id in {entry.causationid for entry in job.history} or any(
            key.endswith(f" {trigger_id}") for key in job.triggers
        )
        without_effect = ask.word == "canceled" and any(entry.type == "batch.canceled" for entry in job.history)
        _must(carried_out or without_effect, job_id, f"{trigger_id} was neither carried out nor rejected")


def trigger_id_of(plan: Plan, ask: Ask) -> str:
    return f"{ask.word}-{ask.number}-{plan.job_id(ask.job)}"

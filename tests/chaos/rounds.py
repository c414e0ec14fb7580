"""One round: a load of jobs, one fault in the middle of it, and the judgment, from the events and the database alone."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import psutil

from batchbus_events.bus import BusError
from batchbus_events.event import Event
from batchbus_events.ids import new_job_id
from tests.chaos.faults import Fault, Parts
from tests.chaos.fleet import Fleet
from tests.chaos.watching import NoWatch, Watch, Watcher
from tests.engine.installation import Installation
from tests.events.proxy import Proxy
from tests.rabbitmq_cluster import RabbitCluster
from tests.rabbitmq_node import RabbitNode

__all__ = ["Judgment", "play"]

_LEASE: Final = 3.0
_REST_SECONDS: Final = 300.0
"""How long after the fault everything may take to come to rest."""
_WELL_SECONDS: Final = 60.0
"""How long after that readiness may name what is over: a task's trouble counts for half a minute."""
_STEP: Final = 0.2


@dataclass
class Judgment:
    """What went wrong, a sentence for each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    said_wrong: list[str] = field(default_factory=list)
    """By readiness, `doctor`, `batchbus show` or the metrics."""

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.stuck, *self.disordered, *self.said_wrong]


@dataclass
class _Load:
    """What was asked for."""

    chunks: dict[str, int] = field(default_factory=dict)
    """Of each job, how many chunks it has."""
    dying: set[str] = field(default_factory=set)
    triggers: list[Event] = field(default_factory=list)


async def play(
    fault: Fault,
    seed: int,
    installation: Installation,
    broker: RabbitNode | RabbitCluster,
    database: psutil.Process,
    *,
    jobs: int = 40,
    watched: bool = True,
) -> Judgment:
    """`database`: the process of the database server, which somebody starts again when it ends. `watched`: whether it is
    judged, too, what is said meanwhile.
    """
    random = Random(f"{fault.name} {seed}")
    load = _Load()
    cluster = broker if isinstance(broker, RabbitCluster) else None
    node = broker if isinstance(broker, RabbitNode) else broker.nodes[0]
    async with (
        Proxy.to(installation.amqp_url) as proxy,
        _watch(fault, installation, proxy, watched=watched) as watch,
        Fleet.of(2, installation, lease_seconds=_LEASE, amqp_url=proxy.url) as fleet,
    ):
        parts = Parts(installation, node, cluster, database, fleet, proxy, _LEASE, random, watch, fault)
        asking = asyncio.create_task(_ask(load, installation, Random(random.random()), jobs, fault.dying_jobs))
        await asyncio.sleep(random.uniform(0.5, 4))  # somewhere in the load
        watch.job = await _some_job(installation)
        await fault.happen(parts)
        await asking
        stuck = await _rest(load, installation)
        await installation.bus.missing()  # the broker answers, so what was published has arrived
        await asyncio.sleep(_STEP)  # deliveries of ours are on their way; that there are no more is told by nothing
        await watch.well(within=_WELL_SECONDS)
    return await _judged(fault, load, installation, stuck, watch.faults)


@asynccontextmanager
async def _watch(fault: Fault, installation: Installation, proxy: Proxy, *, watched: bool) -> AsyncIterator[Watcher]:
    if not watched:
        yield NoWatch()
        return
    async with Watch.over(installation, proxy.url, may_name={*fault.names, *fault.may_name}) as watch:
        yield watch


async def _some_job(installation: Installation) -> str:
    """The id of a job that is in the database."""
    await installation.followed.until(lambda: installation.followed.counts["batch.created"] > 0)
    return next(event.subject or "" for event in installation.followed.all("batch.created"))


# -- the load ----------------------------------------------------------------------------------------------------------


async def _ask(load: _Load, installation: Installation, random: Random, jobs: int, dying: int) -> None:
    """In order, as one publisher: create, then confirm or cancel some."""
    deadly = set(random.sample(range(jobs), dying))
    for number in range(jobs):
        job_id, chunks, dry_run = new_job_id(), random.randint(2, 8), random.random() < 0.5
        load.chunks[job_id] = chunks
        kind = random.choice(["fenced-chunks", "fenced-chunks-thread"])
        context: dict[str, Any] = {"chunks": chunks, "seconds": random.uniform(0.02, 0.2)}
        if number in deadly:
            load.dying.add(job_id)
            kind, context, dry_run = "dying", {"how": random.choice(["kill", "segfault", "exit"])}, False
        await _publish(
            load, installation, installation.trigger("created", job_id, type=kind, dry_run=dry_run, context=context)
        )
        if dry_run:
            await _publish(load, installation, installation.trigger("confirmed", job_id))
        if random.random() < 0.15:
            await _publish(load, installation, installation.trigger("canceled", job_id))
        await asyncio.sleep(random.uniform(0, 2 * _STEP))  # the pace of the load


async def _publish(load: _Load, installation: Installation, trigger: Event) -> None:
    """Until the broker has confirmed it, as a client has to; the same trigger, with the same id."""
    load.triggers.append(trigger)
    while True:
        try:
            await installation.publish(trigger)
            return
        except BusError:
            await asyncio.sleep(_STEP)  # as a client does while the broker is away


async def _rest(load: _Load, installation: Installation) -> list[str]:
    """Until every job rests. Returns those that do not in time, in words."""
    jobs = installation.database.jobs
    tired: list[str] = ["nobody has looked yet"]
    try:
        async with asyncio.timeout(_REST_SECONDS):
            while tired:
                await asyncio.sleep(_STEP)  # the workers are other processes: the database is asked again
                found = {each["_id"]: each async for each in jobs.find({"_id": {"$in": list(load.chunks)}})}
                tired = [
                    f"{job_id} does not come to rest: {_in_words(found.get(job_id))}"
                    for job_id in load.chunks
                    if not _rests(found.get(job_id))
                ]
    except TimeoutError:
        pass
    return tired


def _rests(job: dict[str, Any] | None) -> bool:
    if job is None or "status" not in job:
        return False
    at_rest = job["status"] in ("completed", "failed", "canceled")
    return at_rest and "lease" not in job and job["published"] == len(job["history"])


def _in_words(job: dict[str, Any] | None) -> str:
    if job is None:
        return "there is no such job"
    shown = ("status", "lease", "ready_at", "wake_at", "failures", "lost_runs", "published", "result")
    return ", ".join(f"{name}={job[name]}" for name in shown if name in job)


# -- the judgment ------------------------------------------------------------------------------------------------------


async def _judged(
    fault: Fault, load: _Load, installation: Installation, stuck: list[str], said_wrong: list[str]
) -> Judgment:
    judgment = Judgment(stuck=stuck, said_wrong=said_wrong)
    jobs = {each["_id"]: each async for each in installation.database.jobs.find({"status": {"$exists": True}})}
    events = installation.followed.events
    _judge_triggers(judgment, load, jobs, events, unheard=fault.recorder_may_miss)
    _judge_ends(judgment, load, jobs)
    _judge_events(judgment, fault, jobs, events)
    counts = {each["_id"]: each["count"] async for each in installation.catalog.counts.find()}
    _judge_effects(judgment, load, jobs, counts)
    return judgment


def _judge_triggers(
    judgment: Judgment, load: _Load, jobs: dict[str, Any], events: list[Event], *, unheard: bool
) -> None:
    """Every trigger was carried out, or answered."""
    rejected = {event.causationid for event in events if event.type == "batch.rejected"}
    for trigger in load.triggers:
        job = jobs.get(trigger.subject or "")
        if trigger.id in rejected or (unheard and job is not None):
            continue
        word = trigger.type.removeprefix("batch.")
        causes = {entry.get("causationid") for entry in (job or {}).get("history", ())}
        keys = {key.rpartition(" ")[2] for key in (job or {}).get("triggers", ())}
        canceled = job is not None and job["status"] == "canceled"
        if not (trigger.id in causes | keys or (word == "canceled" and canceled)):
            judgment.lost.append(f"{word} of {trigger.subject} was neither carried out nor answered: {_in_words(job)}")


def _judge_ends(judgment: Judgment, load: _Load, jobs: dict[str, Any]) -> None:
    for job_id, job in jobs.items():
        if job["status"] == "failed" and job_id not in load.dying:
            judgment.lost.append(f"{job_id} failed, and has done nothing wrong: {_in_words(job)}")
        if job["status"] == "completed" and job_id in load.dying:
            judgment.lost.append(f"{job_id} was completed, and ends every process that runs it")


def _judge_events(judgment: Judgment, fault: Fault, jobs: dict[str, Any], events: list[Event]) -> None:
    """Of each entry of a history its event, at least once, in order, and once where nothing broke."""
    seen: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    order: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.sequence is None or event.subject is None:
            continue
        if not seen[event.subject][event.sequence]:
            order[event.subject].append(event.sequence)
        seen[event.subject][event.sequence].add(event.id)
    for job_id, job in jobs.items():
        if order[job_id] != sorted(order[job_id]):
            judgment.disordered.append(f"{job_id}: its events came in the order {order[job_id]}")
        for entry in job["history"]:
            ids = seen[job_id][entry["seq"]]
            if not ids and not fault.recorder_may_miss:
                judgment.lost.append(f"{job_id}: nobody heard of its {entry['type']}")
            if len(ids) > 1 or ids - {entry["id"]}:
                judgment.doubled.append(f"{job_id}: its {entry['type']} had several ids")
    if fault.name == "none":
        times = Counter(event.id for event in events)
        judgment.doubled += [f"event {event_id} came {n} times" for event_id, n in times.items() if n > 1]


def _judge_effects(judgment: Judgment, load: _Load, jobs: dict[str, Any], counts: dict[str, int]) -> None:
    """Each chunk took effect once."""
    for name, count in counts.items():
        job_id, _, chunk = name.partition(" ")
        if chunk != "all" and count != 1:
            judgment.doubled.append(f"{job_id}: chunk {chunk} took effect {count} times")
    for job_id, chunks in load.chunks.items():
        if job_id in load.dying or jobs.get(job_id, {}).get("status") != "completed":
            continue
        done = counts.get(f"{job_id} all", 0)
        if done != chunks:
            kind = judgment.lost if done < chunks else judgment.doubled
            kind.append(f"{job_id}: {done} of {chunks} chunks took effect")

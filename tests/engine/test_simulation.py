"""Thousands of jobs through crashes, lost answers, duplicates and disorder: each ends once, in order, and says so."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from random import Random

import pytest
import structlog

from batchbus_events import topics
from batchbus_events.bus import BusUnavailable, Message
from batchbus_events.event import Event, decode, encode
from batchbus_events.ids import derived_job_id
from batchbus_service.job import Job, Status
from batchbus_strategies import AnyContext, BatchStrategy, JobRun, Json
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World

JOBS = 150
CHUNKS = 4
SEEDS = 8


class Chunks(BatchStrategy[AnyContext]):
    """Does its work in chunks, and now and then fails."""

    identifier = "chunks-strategy"
    batch_type = "chunks"

    def __init__(self, process: str, effects: dict[str, list[tuple[int, int]]], random: Random) -> None:
        self._process = process
        self._effects = effects
        self._random = random

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        await asyncio.sleep(self._random.uniform(0, 0.5))
        run.expect(CHUNKS)

    async def process(self, run: JobRun[AnyContext]) -> None:
        done = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(done, CHUNKS):
            await asyncio.sleep(self._random.choice([0.1, 1.0, 10.0]))
            run.ensure_lease()
            self._effects[run.job_id].append((run.run_number, chunk))
            await run.advance()
            await run.checkpoint(chunk + 1)
            if self._random.random() < 0.02:
                raise OSError("simulated")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_accepted_job_ends_exactly_once_in_order_with_every_event_published(seed: int) -> None:
    random.seed(seed)  # the engine's own jitter
    with structlog.testing.capture_logs():
        run_virtually(_simulate(Random(seed)))


async def _simulate(chance: Random) -> None:
    effects: dict[str, list[tuple[int, int]]] = defaultdict(list)
    async with (world := World(chance, lambda name: Chunks(name, effects, Random(chance.random())))).bus:
        await world.listen()
        for _ in range(3):
            await world.start_process()
        troubles = asyncio.ensure_future(_make_trouble(world, chance))
        asked = await _ask(world, chance)
        await troubles
        await _all_quiet(world, asked)
        _check_ends(world, asked)
        _check_events(world)
        _check_effects(effects)


async def _ask(world: World, chance: Random) -> dict[str, str]:
    """Publish triggers: twice at times, in any order, dry runs with confirmations, cancellations. Returns what for."""
    asked: dict[str, str] = {}
    triggers: list[tuple[float, Event]] = []
    for number in range(JOBS):
        job_id = derived_job_id("simulation", str(number))
        intent = asked[job_id] = chance.choice(["run", "run", "run", "dry run", "confirm", "cancel"])
        at = chance.uniform(0, 300)
        triggers.append((at, _trigger("created", job_id, dry_run=intent in ("dry run", "confirm"))))
        if intent in ("confirm", "cancel"):
            triggers.append(
                (at + chance.uniform(-2, 20), _trigger({"confirm": "confirmed", "cancel": "canceled"}[intent], job_id))
            )
    triggers += [(at + chance.uniform(0, 60), event) for at, event in triggers if chance.random() < 0.3]
    async with asyncio.TaskGroup() as publishing:
        for at, event in triggers:
            publishing.create_task(_publish(world, at, event))
    return asked


def _trigger(word: str, job_id: str, *, dry_run: bool = False) -> Event:
    data: dict[str, Json] = {"type": "chunks", "dry_run": dry_run} if word == "created" else {}
    return Event(type=f"batch.{word}", source="/simulation", id=f"{word}-{job_id}", subject=job_id, data=data)


async def _publish(world: World, at: float, event: Event) -> None:
    await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
    message = Message(body=encode(event), routing_key=event.type, message_id=event.id)
    # The memory bus waits for the acknowledgement; without one, the trigger is in the queue all the same.
    with contextlib.suppress(BusUnavailable):
        await world.bus.publish(topics.TRIGGERS, message)


async def _make_trouble(world: World, chance: Random) -> None:
    """Crash processes and start others, and freeze some for longer than their leases, for a while."""
    for _ in range(12):
        await asyncio.sleep(chance.uniform(5, 40))
        alive = [process for process in world.processes if not process.faults.crashed]
        chance.choice(alive).freeze(chance.uniform(20, 90))
        await chance.choice(alive).crash()
        await asyncio.sleep(chance.uniform(0, 10))
        await world.start_process()


async def _all_quiet(world: World, asked: dict[str, str]) -> None:
    """Until every job rests with everything published; a virtual day at most."""
    async with asyncio.timeout(86400):
        # The seconds are virtual: while nobody else has anything to do, they pass at once.
        while not all(job_id in world.store.jobs and _rests(world.store.jobs[job_id]) for job_id in asked):  # noqa: ASYNC110
            await asyncio.sleep(10)


def _rests(job: Job) -> bool:
    at_rest = job.terminal or job.status is Status.PRE_PROCESSED
    return at_rest and job.lease is None and job.published == len(job.history)


def _check_ends(world: World, asked: dict[str, str]) -> None:
    allowed = {
        "run": {Status.COMPLETED},
        "dry run": {Status.PRE_PROCESSED},
        "confirm": {Status.COMPLETED},
        "cancel": {Status.CANCELED, Status.COMPLETED},
    }
    for job_id, intent in asked.items():
        job = world.store.jobs[job_id]
        assert job.status in allowed[intent], (job_id, intent, job.status)
        ends = Counter(entry.type for entry in job.history)
        assert ends["batch.created"] == 1
        assert ends["batch.completed"] + ends["batch.canceled"] + ends["batch.failed"] <= 1


def _check_events(world: World) -> None:
    first_seen: dict[str, list[int]] = defaultdict(list)
    for message in world.published:
        event = decode(message.body)
        if event.sequence is not None and event.subject is not None and event.sequence not in first_seen[event.subject]:
            first_seen[event.subject].append(event.sequence)
    for job_id, job in world.store.jobs.items():
        assert first_seen[job_id] == list(range(1, len(job.history) + 1)), job_id


def _check_effects(effects: dict[str, list[tuple[int, int]]]) -> None:
    for job_id, done in effects.items():
        runs = [run for run, _ in done]
        assert runs == sorted(runs), f"{job_id}: an earlier run wrote after a later one: {done}"
        assert {chunk for _, chunk in done} <= set(range(CHUNKS))

"""Carries a plan out, on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

import structlog
from structlog.typing import EventDict

from batchbus_events import topics
from batchbus_events.bus import BusError, BusUnavailable, Message
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import Event, encode
from batchbus_service.domain.errors import NotAllowed, StoreUnavailable, UnknownJob, UnreadableJob
from batchbus_service.domain.job import SCHEMA, Job
from batchbus_service.domain.lifecycle import Cause, Decider
from batchbus_strategies import AnyContext, BatchStrategy, JobRun, Json, StrategyError
from tests.engine.virtual_time import run_virtually, server_time
from tests.engine.world import EndsProcess, Process, World
from tests.simulation.checks import BY_DIGEST, CheckedStore, Effects, Violation, check_end, rests, trigger_id_of
from tests.simulation.leases import Leases
from tests.simulation.plan import (
    Action,
    Ask,
    Crash,
    Deploy,
    Disconnect,
    Freeze,
    Operate,
    OrderReplay,
    Outage,
    Plan,
    Script,
    SetClock,
    Slow,
)
from tests.simulation.replays import Operator, check_replays
from tests.simulation.waits import CALM, check_replay_waits, check_waits

__all__ = ["Told", "carry_out"]

_LOOK_EVERY: Final = 5.0
_REST_SECONDS: Final = 2 * 3600.0
"""How long after the last thing that happens everything may take to come to rest, placeholders included."""

_BROKEN: Final = frozenset(
    {
        "background_task_broke",
        "events_not_published",
        "heartbeat_failed",
        "overdue_job_left",
        "row_errors_not_kept",
        "run_broke",
        "trigger_broke",
    }
)
"""Lines of what the engine could not cope with; with an exception, since some of them tell of a refusal, too."""

Told = list[tuple[float, str, EventDict]]
"""What the log said, with the virtual time."""


def carry_out(plan: Plan) -> Told:
    """Returns what happened. Raises `Violation`, with what happened in its `__notes__`."""
    told: Told = []

    def note(_logger: object, _method: str, event: EventDict) -> EventDict:
        with contextlib.suppress(RuntimeError):
            told.append((asyncio.get_running_loop().time(), str(event.pop("event")), event))
        raise structlog.DropEvent

    before = structlog.get_config()
    state = random.getstate()
    random.seed(plan.name)  # the engine's own jitter
    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    try:
        with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
            run_virtually(_Run(plan, told, Path(folder)).run())
    except Violation as violation:
        violation.add_note(_in_words(told, str(violation).partition(":")[0]))
        raise
    finally:
        structlog.configure(**before)
        random.setstate(state)
    return told


def _in_words(told: Told, job_id: str) -> str:
    lines = [
        f"{time:10.3f}  {event:28} " + " ".join(f"{key}={value}" for key, value in more.items() if key != "job_id")
        for time, event, more in told
        if more.get("job_id") == job_id or event.startswith("--")
    ]
    return "\n".join(lines[-400:])


class _Run:
    def __init__(self, plan: Plan, told: Told, folder: Path) -> None:
        self._plan = plan
        self._told = told
        self._store = CheckedStore()
        self._effects: Effects = defaultdict(list)
        scripts = {plan.job_id(number): script for number, script in enumerate(plan.scripts)}
        self._broken: dict[str, int] = defaultdict(int)
        self._deaths: dict[str, int] = defaultdict(int)
        self._world = World(
            Random(plan.name),
            lambda name: Scripted(scripts, self._effects, self._broken, self._deaths),
            store=self._store,
            chance=plan.lost,
            slowest=plan.slowest,
            folder=folder if plan.replays else None,  # where none is ordered, no process looks for any
            older_schema=SCHEMA - plan.new_schema,
        )
        self._store.look_at(Leases(self._world).look_at)
        self._operator = Operator(plan, self._world)
        self._violations: list[Violation] = []
        self._disturbed = False
        """Whether something was broken for a moment since the waits were looked at."""
        sets = [action.seconds for action in plan.actions if isinstance(action, SetClock)]
        self._set_back = -sum(seconds for seconds in sets if seconds < 0)
        """By how many seconds the database's clock is set back in all."""

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self._noticed(context.get("exception")))
        async with self._world.bus, self._until_over():
            await self._world.listen()
            for number in range(self._plan.processes):
                await self._world.start_process(older=number < self._plan.older)
            looking = asyncio.create_task(self._look_at_waits())
            async with asyncio.TaskGroup() as doing:
                for action in self._plan.actions:
                    doing.create_task(self._do(action))
            await self._come_to_rest()
            looking.cancel()
            jobs, published = self._store.jobs, self._world.published
            check_end(self._plan, jobs, published, self._effects)
            replays = [(self._world.replays.known(replay_id), due) for replay_id, due in self._operator.due.items()]
            check_replays(self._plan, jobs, replays, published)

    @contextlib.asynccontextmanager
    async def _until_over(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._world.surroundings.over = True

    def _noticed(self, error: BaseException | None) -> None:
        if isinstance(error, Violation):
            self._violations.append(error)

    async def _look_at_waits(self) -> None:
        """While nothing is broken, and has not been for a while, nothing waits longer than it may."""
        loop, world = asyncio.get_running_loop(), self._world
        calm_since, last = 0.0, (0, 0)
        # When a clock was set, it takes a while until that is known, and then nothing is taken away for a minute. What
        # was written before it was set back lies in the future until the clock has made up for it.
        clock_is_set = any(isinstance(action, SetClock) for action in self._plan.actions)
        calm = CALM + (2 * CALM if clock_is_set else 0) + self._set_back
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            alive = world.alive
            slow = world.surroundings.slow
            broken = world.away or slow or any(process.frozen or not process.bus.connected for process in alive)
            state = (len(world.processes), len(alive))
            if broken or self._disturbed or state != last:
                calm_since, last, self._disturbed = loop.time(), state, False
            elif alive and not self._plan.lost and loop.time() - calm_since > calm:
                try:
                    now = server_time(loop, world.clock_ahead)
                    jobs, slowest = self._store.jobs.values(), self._plan.slowest
                    check_waits(jobs, alive, now, slowest=slowest, unreadable=self._plan.new_schema)
                    check_replay_waits((world.replays.known(each) for each in self._operator.due), alive, now)
                except Violation as violation:
                    self._violations.append(violation)
                    return

    async def _come_to_rest(self) -> None:
        asks = [action for action in self._plan.actions if isinstance(action, Ask) and action.word == "created"]
        wanted = {self._plan.job_id(ask.job) for ask in asks}
        loop = asyncio.get_running_loop()
        until = loop.time() + _REST_SECONDS + self._set_back
        read, at_rest = 0, False
        while True:
            news, read = self._told[read:], len(self._told)
            for _, event, more in news:
                if isinstance(error := more.get("exc_info"), Violation):
                    raise error
                if event in _BROKEN and error is not None:
                    raise Violation(f"{more.get('job_id')}: {event}: {error!r}")
            if self._violations:
                raise self._violations[0]
            jobs = self._store.jobs
            tired = [job_id for job_id in wanted if job_id not in jobs or not rests(jobs[job_id])]
            queues = [await self._world.bus.inspect(each.name) for each in (topics.TRIGGERS_QUEUE, topics.HELD_QUEUE)]
            waiting = any(queue is None or queue.messages for queue in queues)
            busy = waiting or any(process.frozen for process in self._world.alive)
            unfinished = self._operator.unfinished
            if tired or self._store.placeholders or busy or unfinished:
                at_rest = False
            elif at_rest:
                return
            else:
                at_rest = True
                await asyncio.sleep(60)  # a trigger may be on its way into the database still
                continue
            if loop.time() > until:
                if unfinished:
                    raise Violation(unfinished)
                stuck = next(iter(tired), None) or next(iter(self._store.placeholders), "?")
                raise Violation(f"{stuck}: it does not come to rest: {jobs.get(stuck)}")
            await asyncio.sleep(5)

    # -- what happens ----------------------------------------------------------------------------------------------

    async def _do(self, action: Action) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, action.at - loop.time()))
        self._told.append((loop.time(), f"-- {action}", {}))
        self._disturbed = self._disturbed or not isinstance(action, Ask | Operate | OrderReplay)
        match action:
            case Ask():
                await self._ask(action)
            case Operate():
                await self._operate(action)
            case OrderReplay():
                await self._operator.order(action)
            case Outage():
                await self._world.take_away(action.what)
                await asyncio.sleep(action.seconds)
                await self._world.bring_back(action.what)
            case Crash():
                if alive := self._world.alive:
                    await alive[action.process % len(alive)].crash()
                await asyncio.sleep(action.back_after)
                await self._world.start_process()
            case Disconnect():
                if alive := self._world.alive:
                    await self._disconnected(alive[action.process % len(alive)], action.seconds)
            case SetClock():
                self._world.clock_ahead += action.seconds
            case Slow():
                self._world.surroundings.slow = action.answers_within
                if action.seconds is not None:
                    await asyncio.sleep(action.seconds)
                    self._world.surroundings.slow = 0.0
            case Deploy():
                await self._deploy(action)
            case Freeze():
                if alive := self._world.alive:
                    alive[action.process % len(alive)].freeze(action.seconds)

    async def _deploy(self, deploy: Deploy) -> None:
        for process in [process for process in self._world.alive if process.older]:
            await process.crash()
            await asyncio.sleep(deploy.back_after)
            await self._world.start_process()

    async def _disconnected(self, process: Process, seconds: float) -> None:
        await process.bus.vanish()
        await asyncio.sleep(seconds)
        while "broker" in self._world.away:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)
        if not process.faults.fate.crashed:
            await process.bus.come_back()

    async def _ask(self, ask: Ask) -> None:
        data: dict[str, Json] = {"type": "scripted", "dry_run": ask.dry_run} if ask.word == "created" else {}
        if ask.digest:
            data["plan_digest"] = ask.digest
        event = Event(
            type=f"batch.{ask.word}",
            source="/simulation",
            id=trigger_id_of(self._plan, ask),
            subject=self._plan.job_id(ask.job),
            data=data,
            dataschema=TRIGGERS[f"batch.{ask.word}"].schema_for(data),
        )
        message = Message(body=encode(event), routing_key=event.type, message_id=event.id)
        for pause in (0.0, *ask.again_after):
            await asyncio.sleep(pause)
            while "broker" in self._world.away:  # noqa: ASYNC110 - the time is virtual
                await asyncio.sleep(1)
            # The memory bus waits for the acknowledgement; without one, the trigger is in the queue all the same.
            with contextlib.suppress(BusUnavailable):
                await self._world.bus.publish(topics.TRIGGERS, message)

    async def _operate(self, operate: Operate) -> None:
        alive = self._world.alive
        if not alive:
            return
        transitions = alive[0].transitions

        def decide(job: Job, now: datetime) -> Job:
            return _asked_for(operate, transitions.decider, job, now)

        # A process that is killed does not answer any more, and a write that is on its way cannot be called back.
        asking = asyncio.ensure_future(transitions.change_by_id(self._plan.job_id(operate.job), decide))
        done, _ = await asyncio.wait([asking], timeout=60)
        if done:
            with contextlib.suppress(UnknownJob, UnreadableJob, NotAllowed, StoreUnavailable, BusError):
                asking.result()


def _asked_for(operate: Operate, decider: Decider, job: Job, now: datetime) -> Job:
    match operate.what:
        case "confirm":
            by = f"{BY_DIGEST}{operate.digest}" if operate.digest else None
            return decider.confirm(job, now, Cause(by=by), plan_digest=operate.digest)
        case "cancel":
            return decider.cancel(job, now, Cause())
        case "retry":
            return decider.retry(job, now, Cause())
        case "check again":
            return decider.check_again(job, now, Cause())


class Scripted(BatchStrategy[AnyContext]):
    """Does what the plan says of each job."""

    identifier = "scripted-strategy"
    batch_type = "scripted"

    def __init__(
        self, scripts: dict[str, Script], effects: Effects, broken: dict[str, int], deaths: dict[str, int]
    ) -> None:
        self._scripts = scripts
        self._effects = effects
        self._broken = broken
        self._deaths = deaths

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        script = self._scripts[run.job_id]
        await asyncio.sleep(script.seconds)
        run.expect(script.chunks)
        run.result["plan_digest"] = str(run.run_number)
        if script.refuses:
            raise StrategyError("it cannot be done")

    async def process(self, run: JobRun[AnyContext]) -> None:
        script = self._scripts[run.job_id]
        done = run.resume_from if isinstance(run.resume_from, int) else 0
        for chunk in range(done, script.chunks):
            await self._work(script)
            if self._broken[run.job_id] < script.breaks:
                self._broken[run.job_id] += 1
                raise OSError("simulated")
            if self._deaths[run.job_id] < script.deaths:
                self._deaths[run.job_id] += 1
                raise EndsProcess
            run.ensure_lease()
            self._effects[run.job_id].append((run.run_number, chunk))
            await run.advance()
            await run.checkpoint(chunk + 1)

    @staticmethod
    async def _work(script: Script) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + max(script.seconds, script.deaf)
        while (left := until - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not script.deaf:
                    raise

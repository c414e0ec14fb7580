"""Every task that a process begins by itself has its place here, with the reason why it cannot end unnoticed.

A task whose exception nobody reads ends in silence, and what it did is not done any more. Whoever adds one says here
which kind it is: `Background.start` is the usual way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import batchbus_events
import batchbus_service

_BEGINS: Final = {"create_task", "ensure_future"}

_SUPERVISORS: Final = {
    "service/telemetry/background.py Background.start": "begins its body again, whatever ends it",
    "events/rabbitmq/consumer.py Consumer.start": "`keep_up` catches every Exception",
    "events/rabbitmq/bus.py RabbitBus.open": "`_keep_looking` catches every Exception",
    "events/rabbitmq/connection.py Link.start": "`keep_up` catches every Exception",
    "service/storage/mongo/embedded.py EmbeddedMongo.start": "`_supervise` catches every Exception",
    "service/operations/replay/replay_attempt.py ReplayAttempt._claimed": "`_keep_claim_for_ever` catches every Exception",
}
_ENDS_WITH_ITS_WORK: Final = {
    "service/cli/worker_processes.py _Worker.keep_up": "two pauses, of which the first that is over is waited for",
    "service/cli/worker_processes.py run_processes": "the processes of a worker: the command ends when one of these tasks does",
    "events/rabbitmq/consumer.py Consumer._on_message": "one delivery; what it raises is logged, and the delivery put back",
    "events/rabbitmq/connection.py Background.close": "closes one channel quietly",
    "events/keyed_executor.py KeyedExecutor.add": "one key; an error is logged, and the next item follows",
    "events/memory.py _Consumer.deliver": "one delivery; what it raises is logged, and the delivery put back",
    "events/tasks.py ahead": "one step of a stream, awaited by its reader, or ended with it",
    "events/tasks.py merged": "one step of a stream, awaited by whoever reads it",
    "service/app/last_resort.py last_resort.give_up": "ends the process",
    "service/storage/clock.py ServerClock.sure": "one measurement, awaited by whoever asks",
    "service/journal/notifier.py Notifier.notify": "a few notifications; the next that is needed begins anew",
    "service/storage/mongo/embedded.py EmbeddedMongo._launch": "reads to the end of a pipe",
    "service/execution/computing/pool.py ComputePool._end": "one end of a process, which `__aexit__` waits for",
    "service/execution/execution.py InProcess._let": "waits for one call",
    "service/execution/executor.py _LoopCall._begin": "one call, whose future carries what it raises",
    "service/http/server/server.py _serving": "the process ends when it does",
    "service/execution/isolation/child.py Child._answer": "one answer; what it raises is the answer",
    "service/execution/isolation/child.py Child._checkpoint_made": "one checkpoint; what it raises is told to the run",
    "service/execution/isolation/child.py Child._progressed": "tells of one burst of progress; the next begins anew",
    "service/execution/isolation/isolated.py Isolated._heard": "one checkpoint; what it raises is told to the child",
    "service/execution/isolation/isolated.py Isolated._ready": "one start, awaited",
    "service/execution/isolation/process.py _executed": "one start, awaited",
    "service/execution/isolation/spares.py SpareProcesses.expect": "one start, awaited by the run that gets the process",
    "service/execution/isolation/spares.py SpareProcesses._end": "one end of a process, which `close` waits for",
    "service/execution/isolation/requests.py RequestServer.heard": "one request; what it raises is told to the child",
    "service/execution/isolation/process.py ChildProcess.start": "to the end of the child, and every Exception ends that",
    "service/journal/transitions.py _unbroken": "one write, awaited",
    "service/storage/grouped.py GroupedJobStore._begin": "one group of writes; what it raises is the answer to each",
    "service/storage/line_index.py LinePages._offsets_of": "one count, awaited",
    "service/journal/outbox.py Outbox.hand_over": "the events of one job; the rescuer finds what it leaves",
    "service/execution/heartbeat.py Heartbeat._spawn": "one beat or message, which begins the next in any case",
    "service/engine/readiness.py Readiness._ask_database": "one ping, awaited",
    "service/operations/replay/replay_attempt.py ReplayAttempt._in_a_thread": "one piece of reading, awaited",
    "service/engine/dispatcher.py Dispatcher.take": "one run; `_ended` logs what it raises",
}


def test_every_task_is_known_and_none_can_end_unnoticed() -> None:
    found = set(_begun(batchbus_events)) | set(_begun(batchbus_service))
    known = {*_SUPERVISORS, *_ENDS_WITH_ITS_WORK}
    assert sorted(found - known) == [], "say here why it cannot end unnoticed"
    assert sorted(known - found) == [], "it is not there any more"


def _begun(package: object) -> Iterator[str]:
    root = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    for path in sorted(root.rglob("*.py")):
        place = f"{root.name.removeprefix('batchbus_')}/{path.relative_to(root).as_posix()}"
        yield from (f"{place} {name}" for name in _begun_in(ast.parse(path.read_text()), ""))


def _begun_in(node: ast.AST, name: str) -> Iterator[str]:
    for below in ast.iter_child_nodes(node):
        if isinstance(below, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _begun_in(below, f"{name}.{below.name}".lstrip("."))
        else:
            if isinstance(below, ast.Call) and isinstance(below.func, ast.Attribute) and below.func.attr in _BEGINS:
                yield name
            yield from _begun_in(below, name)

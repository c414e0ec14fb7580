"""What a worker and a child process say to each other: BSON documents, one after the other, on a pair of sockets.

BSON, since it carries what a job holds as the database does, says how long it is, and runs no code where it is read:
a child is not trusted with more than its own job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from traceback import extract_tb
from typing import Final

from batchbus_service.domain.errors import NotStorable
from batchbus_service.domain.job import Checkpoint, Job, plain
from batchbus_service.domain.result import JobResult
from batchbus_service.execution.execution import (
    ProcessDied,
    RaisedInChild,
    RemoteTraceback,
    RunStalled,
    error_text,
    public_text,
)
from batchbus_service.execution.executor import CallStopped
from batchbus_service.execution.job_run import EngineJobRun, Progress
from batchbus_service.storage.mongo.codec import decoded, encoded
from batchbus_service.storage.mongo.document import from_document, to_document
from batchbus_strategies import LeaseLost, RunCanceled, StrategyError, computing
from batchbus_strategies.computing import ComputationDied
from batchbus_strategies.json_values import NotJson
from batchbus_strategies.strategy import Document

__all__ = [
    "Document",
    "OutOfMemory",
    "checkpoint_from",
    "error_from",
    "error_to",
    "job_from",
    "job_to",
    "packed",
    "progress_from",
    "read",
    "result_from",
    "state_of",
    "where",
]

_MOST_BYTES: Final = 256 * 1024 * 1024
"""Of one message; a job's document has 16 MiB at most."""
_TRACEBACK: Final = 16_000
"""The most characters of a traceback."""
_ENGINE: Final = Path(__file__).parents[2]
_FRAMES: Final = 5
"""The innermost calls that are named when a run has ended its process."""
_KINDS: Final[Mapping[str, type[BaseException]]] = {
    "strategy": StrategyError,
    "canceled": RunCanceled,
    "lost": LeaseLost,
    "stopped": CallStopped,
    "stalled": RunStalled,
    "computation": ComputationDied,
}


class OutOfMemory(ProcessDied):
    """A run needed more memory than its process may have."""


def packed(message: Document) -> bytes:
    """Raises `NotStorable` for what the database could not hold either."""
    return encoded(message)


async def read(reader: asyncio.StreamReader) -> Document | None:
    """The next message; None at the end. Raises `ValueError` for what is none."""
    try:
        head = await reader.readexactly(4)
        length = int.from_bytes(head, "little")
        if not 5 <= length <= _MOST_BYTES:
            raise ValueError(f"A message cannot have {length} bytes")
        body = await reader.readexactly(length - 4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return decoded(head + body)


def job_to(job: Job) -> Document:
    """What a run has to know of its job; the history stays here."""
    return to_document(replace(job, history=(), published=0, triggers=(), writer=None))


def job_from(document: Document) -> Job:
    return from_document(document)


def state_of(job_run: EngineJobRun) -> Document:
    """How far a run is. A result that is not JSON, or cannot be stored, is replaced by the reason, as `unkept`."""
    state: Document = {
        "phase": job_run.phase,
        "progress": asdict(job_run.progress()),
        "touched": job_run.touched,
    }
    least = result_to(job_run.least_result())
    try:
        result = result_to(job_run.snapshot())
        packed({"result": result})
        return {**state, "result": result, "least": least}
    except (NotJson, NotStorable) as error:
        return {**state, "least": least, "unkept": str(error)}


def result_to(result: JobResult | None) -> Document | None:
    return None if result is None else result.to_json()


def result_from(document: Document | None) -> JobResult | None:
    return None if document is None else JobResult.read(document)


def progress_from(document: Document) -> Progress:
    return Progress(**document)


def checkpoint_from(document: Document) -> Checkpoint:
    return Checkpoint(**document)


def error_to(error: BaseException, traceback: str, *, full: bool = False) -> Document:
    """An error on its way to the worker; `traceback` is for its log."""
    kind = next((kind for kind, each in _KINDS.items() if isinstance(error, each)), "other")
    text = str(error)
    if isinstance(error, MemoryError):
        frames = (
            (frame.name, frame.filename, frame.lineno or 0) for frame in reversed(extract_tb(error.__traceback__))
        )
        kind, text = "memory", where(frames)
    elif kind == "other":
        text = error_text(error)
    public = public_text(error) if kind in ("strategy", "other") else None
    return {
        "kind": kind,
        "text": plain(text, 10_000),
        "without_values": None if public is None else plain(public, 10_000),
        "full": full,
        "traceback": plain(traceback, _TRACEBACK),
    }


def where(frames: Iterable[tuple[str, str, int]]) -> str:
    """Where a strategy was: its innermost calls, each as function, file and line."""
    own = [(function, file, line) for function, file, line in frames if not _is_ours(file)]
    calls = " < ".join(f"{function} ({file}, line {line})" for function, file, line in own[:_FRAMES])
    return f"It was in {calls}." if calls else "It left no traceback."


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(_ENGINE) or file == computing.__file__ or file.startswith("<frozen runpy>")


def error_from(document: Document) -> BaseException:
    text = document["text"]
    if (kind := _KINDS.get(document["kind"])) is not None:
        error: BaseException = kind() if kind is CallStopped else kind(text)
    elif document["kind"] == "memory":
        error = OutOfMemory(text)
    else:
        error = RaisedInChild(text, full=bool(document["full"]), public=document["without_values"])
    if isinstance(error, StrategyError):
        error.without_values = document["without_values"]
    if document["traceback"]:
        error.__cause__ = RemoteTraceback(document["traceback"])
    return error

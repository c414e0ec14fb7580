"""Following a job to where it rests: its events as they pass, a progress bar between them, and how it came out."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TransferSpeedColumn

from batchbus_service.cli.client import Client, Document, job_path
from batchbus_service.cli.output import error_out, omissions_text, out, print_json, status_text
from batchbus_service.cli.plurals import with_one_as_one
from batchbus_service.cli.refusals import ExitCode, JobCanceled, JobFailed
from batchbus_service.cli.silence import Silence, span
from batchbus_service.cli.times import local_time
from batchbus_service.domain.plurals import counted

__all__ = ["follow", "print_outcome", "raise_unless_it_went_well", "show_plan", "show_warnings", "upload"]

_TENSES: Final = {"completed": "were", "failed": "would have been", "canceled": "would have been"}
_WARNINGS: Final = 10
_LINE_EVERY: Final = 2.0
"""Seconds between two lines about progress, where there is no bar."""
_SILENT_AFTER: Final = 180.0
"""Seconds without a sign of a job, after which that is said."""
_PHASES: Final = {"pre_process": "previewing", "process": "processing"}


class _Screen(Protocol):
    """Where the events of a job are shown."""

    def happened(self, event: Document) -> None: ...

    def progressed(self, event: Document) -> None: ...

    def silent(self, seconds: float) -> None:
        """Nothing has come for so long. Called from a thread of its own."""


def follow(
    client: Client, job_id: str, *, as_json: bool, since: str = "", silent_after: float = _SILENT_AFTER
) -> Document:
    """Show what happens to the job until it rests: ended, or a dry run that waits for someone. Returns the job.

    `since`: leave out what happened before that time. After `silent_after` seconds without any sign of the job, that is
    said. Ctrl-C ends it, and not the job: then it raises `Exit`.
    """
    try:
        with _screen(job_id, as_json) as screen, Silence(screen.silent, after=silent_after) as silence:
            return _followed(client, job_id, screen, silence, since)
    except KeyboardInterrupt:
        error_out().print(
            f"{job_id} goes on. Follow it again with:  batchbus watch {job_id}\n"
            f"Call it off with:  batchbus cancel {job_id}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _followed(client: Client, job_id: str, screen: _Screen, silence: Silence, since: str) -> Document:
    from batchbus_service.domain.job import TERMINAL  # here, as the commands that follow nothing start faster

    for event in client.events(f"{job_path(job_id)}/events"):
        silence.broken()
        envelope: Document = event.json()
        if event.event == "batch.progress":
            screen.progressed(envelope)
            continue
        if envelope["time"] < since:
            continue
        screen.happened(envelope)
        if envelope["data"].get("status") in (*TERMINAL, "pre_processed"):
            job = client.job(job_id)
            rests = job["status"] in TERMINAL or (job["status"] == "pre_processed" and job["dry_run"])
            # The event may be an old one, of before a retry.
            if rests and envelope["time"] >= job[f"{job['status']}_at"]:
                return job
    return client.job(job_id)


def raise_unless_it_went_well(job: Document) -> None:
    """Raises `JobFailed` or `JobCanceled`, with the way out."""
    if job["status"] == "failed":
        reasons = (job["result"] or {}).get("errors") or ["no reason was given"]
        raise JobFailed(f"{job['id']} failed: {reasons[-1]}", f"All of it: batchbus show {job['id']}")
    if job["status"] == "canceled":
        raise JobCanceled(f"{job['id']} was canceled.", f"Take it up again with: batchbus retry {job['id']}")


def print_outcome(job: Document) -> None:
    """How a job came out that went well, for people."""
    result = job["result"] or {}
    console = out()
    if job["status"] == "pre_processed":
        show_plan(console, job)
        show_warnings(console, job)
        digest = f" --plan-digest {escape(str(result['plan_digest']))}" if result.get("plan_digest") else ""
        console.print(f"Carry it out with:  batchbus confirm {job['id']}{digest}", soft_wrap=True)
        return
    done, count = result.get("advancement_count", 0), result.get("count", 0)
    console.print(
        f"{status_text(job['status'])}{omissions_text(result)}: {done:,} of {count:,} done in {_duration(job)}"
    )
    if errors := result.get("errors"):
        number = result.get("error_count", len(errors))
        console.print(f"{number:,} could not be used; the first: {escape(str(errors[0]))}")
    if error_file := (result.get("files") or {}).get("ERRORS"):
        name = f"errors{''.join(PurePosixPath(error_file).suffixes[-2:])}"
        console.print(f"Mend them and send them again:  batchbus show {job['id']} --error-file {name}", soft_wrap=True)
    show_warnings(console, job)
    if key := result.get("file_key"):
        console.print(f"It made the file {escape(key)} ({counted(result.get('file_size', 0), 'byte')})")


def show_plan(console: Console, job: Document) -> None:
    """What the job says it will do, in the tense of where it is now: strategies say it before it is done."""
    for entry in (job["result"] or {}).get("stat_descriptors", []):
        message = " ".join(entry["message"].split())
        if tense := _TENSES.get(job["status"]):
            message = re.sub(r"\bwill be\b", tense, message)
        console.print(f"{escape(entry['name'])}: {escape(with_one_as_one(message))}")


def show_warnings(console: Console, job: Document) -> None:
    """Say what was skipped, and why, before somebody misses it in the shop."""
    warnings = (job["result"] or {}).get("warnings") or []
    for warning in warnings[:_WARNINGS]:
        console.print(f"[yellow]warning[/] {escape(str(warning))}", soft_wrap=True)
    if len(warnings) > _WARNINGS:
        more = counted(len(warnings) - _WARNINGS, "more warning")
        console.print(f"… and {more}: batchbus show {job['id']} --json")


def upload(client: Client, file: Path, *, as_json: bool) -> str:
    """Put a file into the file store, with a progress bar on a terminal. Returns its key."""
    size = file.stat().st_size if file.is_file() else 0
    if as_json or not sys.stderr.isatty():
        return client.upload(file, lambda sent: None)
    columns = (TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=error_out(), transient=True) as progress:
        task = progress.add_task("upload", total=size)
        return client.upload(file, lambda sent: progress.update(task, completed=sent))


def _screen(job_id: str, as_json: bool) -> AbstractContextManager[_Screen]:
    if as_json:
        return nullcontext(_JsonLines())
    return _bars(job_id) if sys.stdout.isatty() else nullcontext(_Lines(out(), job_id))


class _JsonLines:
    """Every event as it came, one a line."""

    def happened(self, event: Document) -> None:
        print_json(event, one_line=True)

    progressed = happened

    def silent(self, seconds: float) -> None:
        """Programs count for themselves."""


class _Lines:
    """A line for each event, and one every other second about progress."""

    def __init__(self, console: Console, job_id: str) -> None:
        self._console = console
        self._job_id = job_id
        self._last_line = 0.0

    def happened(self, event: Document) -> None:
        _, _, name = event["type"].partition(".")
        reason = event["data"].get("error") or event["data"].get("reason")
        text = f"  {escape(str(reason))}" if reason else omissions_text(event["data"])
        self._console.print(f"{local_time(event['time'], form='%H:%M:%S')}  batch.{status_text(name)}{text}")
        self._last_line = 0.0

    def progressed(self, event: Document) -> None:
        data = event["data"]
        if (now := time.monotonic()) - self._last_line >= _LINE_EVERY:
            self._last_line = now
            share = f"{data['progress']:.0%}  " if data.get("progress") is not None else ""
            self._console.print(f"          {_PHASES[data['phase']]} {share}{_numbers(data)}")

    def silent(self, seconds: float) -> None:
        now = local_time(datetime.now(UTC).isoformat(), form="%H:%M:%S")
        why = f"batchbus show {self._job_id} says where it is"
        self._console.print(f"{now}  [yellow]no progress for {span(seconds)}[/]; {why}")


class _Bars(_Lines):
    """A line for each event, above a bar that moves."""

    def __init__(self, progress: Progress, job_id: str) -> None:
        super().__init__(progress.console, job_id)
        self._progress = progress
        self._task = progress.add_task("", total=None, visible=False, phase="", numbers="")

    def happened(self, event: Document) -> None:
        self._progress.update(self._task, visible=False)
        super().happened(event)

    def progressed(self, event: Document) -> None:
        data = event["data"]
        share = data.get("progress")
        self._progress.update(
            self._task,
            completed=share or 0.0,
            total=None if share is None else 1.0,
            phase=_PHASES[data["phase"]],
            numbers=_numbers(data),
            visible=True,
        )


@contextmanager
def _bars(job_id: str) -> Iterator[_Screen]:
    columns = (
        TextColumn("{task.fields[phase]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    with Progress(*columns, console=out(), transient=True) as progress:
        yield _Bars(progress, job_id)


def _numbers(data: Document) -> str:
    """How much is done, how fast, how long it still takes, and what went wrong: as far as it is known."""
    count = f" of {data['count']:,}" if data.get("count") is not None else ""
    parts = [f"{data['advancement_count']:,}{count}"]
    if (rate := data.get("rate")) is not None:
        parts.append(f"{rate:,.0f}/s")
    if (remaining := data.get("seconds_left")) is not None:
        parts.append(f"{timedelta(seconds=round(remaining))} left")
    if errors := data.get("errors"):
        parts.append(counted(errors, "error"))
    if message := data.get("message"):
        parts.append(escape(message))
    return "  ".join(parts)


def _duration(job: Document) -> str:
    """How long it was processed."""
    begun, ended = job["processing_at"] or job["created_at"], job["completed_at"]
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))

"""Commands that show jobs: jobs, show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

import typer
from rich.markup import escape

from batchbus_service.cli.client import Client, Document, connect, job_path
from batchbus_service.cli.completion import complete_types
from batchbus_service.cli.following import show_plan, show_warnings
from batchbus_service.cli.options import AsJson, JobIds
from batchbus_service.cli.output import omissions_text, out, print_json, status_text
from batchbus_service.cli.plans import save_rows, show_rows
from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.several import Several
from batchbus_service.cli.tables import print_table
from batchbus_service.cli.times import Utc, bounds, local_time, moment, on_the_readers_clock
from batchbus_service.domain.plurals import counted

__all__ = ["jobs", "show"]

_FETCH_PLAN: Final = "Fetch its plan, as CSV or JSON Lines, as the ending of FILE says."
_FETCH_ERROR_FILE: Final = "Fetch what could not be used of the uploaded file, to be mended and sent again."
_FETCH_OUTCOME: Final = "Fetch what became of each record, likewise."
_COMPARED: Final = {"since": "gte", "until": "lt"}
_UPLOAD: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}-(.+)", re.DOTALL)
"""The key of an upload, with the name that the file had."""
_LONGEST_REASON: Final = 200
_ERRORS: Final = 10

When = Literal["created", "updated", "pre_processed", "confirmed", "completed", "failed", "canceled"]


def jobs(
    status: Annotated[list[str] | None, typer.Option(help="Only jobs with this status; may be repeated.")] = None,
    type: Annotated[
        list[str] | None, typer.Option(help="Only jobs of this type; may be repeated.", autocompletion=complete_types)
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Only jobs from then on; 2h is two hours ago."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only jobs before then.")
    ] = None,
    when: Annotated[When, typer.Option("--time", help="Which time --since and --until are about.")] = "created",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    query = [
        ("limit", str(limit)),
        *(("status[]", one) for one in status or ()),
        *(("type[]", one) for one in type or ()),
        *((f"{when}_at[{_COMPARED[name]}]", time) for name, time in bounds(since, until).items()),
    ]
    with connect() as client:
        listed = client.get("/admin/batch-jobs", query)
        if as_json:
            print_json(listed)
            return
        known = client.get("/admin/batch-types")["batch_types"] if listed["batch_jobs"] else []
    fields = {entry["type"]: entry["file_fields"] for entry in known}
    rows = [_row(job, fields.get(job["type"], ["fileKey"])) for job in listed["batch_jobs"]]
    columns = ("job", "type", "status", "done", "created", "by", "file", "reason")
    print_table(columns, rows, prose=("file", "reason"))
    if listed["count"] > len(rows):
        out().print(f"{len(rows):,} of {listed['count']:,}; more with --limit")


def _row(job: Document, file_fields: Sequence[str]) -> tuple[str, ...]:
    waits = " (dry run)" if job["status"] == "pre_processed" and job["dry_run"] else ""
    return (
        job["id"],
        escape(job["type"]),
        f"{status_text(job['status'])}{omissions_text(job['result'])}{waits}",
        _progress(job),
        local_time(job["created_at"]),
        escape(job["created_by"] or ""),
        escape(_file_name(job, file_fields)),
        escape(_reason(job)),
    )


def _file_name(job: Document, file_fields: Sequence[str]) -> str:
    """The name of the file that the job reads, or else of the one that it has made."""
    read = (job["context"].get(field) for field in file_fields)
    key = next((key for key in read if isinstance(key, str)), (job["result"] or {}).get("file_key"))
    if not isinstance(key, str):
        return ""
    upload = _UPLOAD.fullmatch(key)
    return upload[1] if upload else PurePosixPath(key).name


def _reason(job: Document) -> str:
    """Why the job failed, or what the first thing was that it has left out, in one line."""
    result: Mapping[str, object] = job["result"] or {}
    errors = result.get("errors")
    if not isinstance(errors, list) or not errors:
        return ""
    if job["status"] == "failed":
        chosen = errors[-1]
    elif result.get("left_out"):
        chosen = errors[0]
    else:
        return ""
    line = " ".join(str(chosen).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def show(
    jobs: JobIds,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Fetch the file that the job made.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Fetch every row error, as CSV.")
    ] = None,
    error_file: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help=_FETCH_ERROR_FILE)] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what it would do, record by record.")] = False,
    plan_file: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help=_FETCH_PLAN)] = None,
    outcome: Annotated[bool, typer.Option("--outcome", help="Show what became of each record.")] = False,
    outcome_file: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help=_FETCH_OUTCOME)] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of these, the rows of one kind, such as update or conflict.")
    ] = None,
    find: Annotated[str | None, typer.Option(metavar="KEY", help="And those with this text in their key.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many rows, at most.")] = 50,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show everything about jobs, why each is where it is, and the way out."""
    files = _Files(save, errors, error_file, plan_file, outcome_file)
    rows = _Rows("plan" if plan else "outcome" if outcome else None, kind, find, limit)
    several = Several(jobs, as_json=as_json)
    if files.any and not several.alone:
        raise typer.BadParameter("a file is fetched of one job")
    with connect() as client:

        def show_one(job_id: str) -> None:
            if job_id != several.ids[0] and not as_json:
                out().print()
            _show_one(client, job_id, files, rows, as_json=as_json, alone=several.alone)

        several.each(show_one)
    several.end()


@dataclass(frozen=True, slots=True)
class _Files:
    """Where to put which files of a job."""

    save: Path | None
    errors: Path | None
    error_file: Path | None
    plan: Path | None
    outcome: Path | None

    @property
    def any(self) -> list[Path]:
        """Those that are wanted."""
        return [file for file in (self.save, self.errors, self.error_file, self.plan, self.outcome) if file is not None]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows of a plan or an outcome are asked for; `kind` and `find` choose among those for a file, too."""

    what: Literal["plan", "outcome"] | None
    kind: str | None
    find: str | None
    limit: int


def _show_one(client: Client, job_id: str, files: _Files, rows: _Rows, *, as_json: bool, alone: bool) -> None:
    if rows.what is not None:
        show_rows(client, job_id, rows.what, kind=rows.kind, find=rows.find, limit=rows.limit, as_json=as_json)
        return
    if files.plan is not None:
        save_rows(client, job_id, "plan", files.plan, kind=rows.kind, find=rows.find)
    if files.outcome is not None:
        save_rows(client, job_id, "outcome", files.outcome, kind=rows.kind, find=rows.find)
    job, history = client.job(job_id), client.get(f"{job_path(job_id)}/history")
    _save_files(client, job, files)
    if as_json:
        print_json({"batch_job": job, **history}, one_line=not alone)
        return
    for saved in files.any:
        out().print(f"Saved {saved} ({counted(saved.stat().st_size, 'byte')})")
    if not files.any:
        _print_job(job, history)


def _save_files(client: Client, job: Document, files: _Files) -> None:
    if files.save is not None:
        key = (job["result"] or {}).get("file_key")
        if not key:
            raise Refusal(f"{job['id']} has made no file.")
        client.download(key, files.save)
    if files.errors is not None:
        client.save(f"{job_path(job['id'])}/errors", files.errors)
    if files.error_file is not None:
        client.save(f"{job_path(job['id'])}/error-file", files.error_file)


def _print_job(job: Document, history: Document) -> None:
    console = out()
    console.print(
        f"[bold]{job['id']}[/]  {escape(job['type'])}  {status_text(job['status'])}{omissions_text(job['result'])}"
    )
    console.print(escape(on_the_readers_clock(history["why"])))
    if history["way_out"]:
        console.print(escape(on_the_readers_clock(history["way_out"])))
    console.print(f"created {local_time(job['created_at'])} by {escape(job['created_by'] or 'nobody')}")
    console.print(f"context {escape(json.dumps(job['context'], ensure_ascii=False))}", soft_wrap=True)
    show_plan(console, job)
    show_warnings(console, job)
    result = job["result"] or {}
    if result.get("count") is not None:
        console.print(f"done {_progress(job)}")
    if result.get("file_key"):
        console.print(f"file {escape(result['file_key'])} ({counted(result.get('file_size', 0), 'byte')})")
    for error in result.get("errors", [])[:_ERRORS]:
        console.print(f"[red]error[/] {escape(str(error))}")
    if len(result.get("errors", [])) > _ERRORS:
        number = result.get("error_count", len(result["errors"]))
        console.print(f"… and {number - _ERRORS:,} more: batchbus show {job['id']} --errors FILE")
    console.print()
    rows = [
        (
            str(entry["sequence"]),
            local_time(entry["time"]),
            entry["type"],
            "" if entry["published"] else "not yet published",
        )
        for entry in history["history"]
    ]
    print_table(("#", "time", "event", ""), rows)


def _progress(job: Document) -> str:
    result = job["result"] or {}
    if result.get("count") is None:
        return ""
    return f"{result.get('advancement_count', 0):,} of {result['count']:,}"

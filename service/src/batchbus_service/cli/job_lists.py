"""Commands that show jobs: jobs, show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
    files = {
        "--save": save,
        "--errors": errors,
        "--error-file": error_file,
        "--plan-file": plan_file,
        "--outcome-file": outcome_file,
    }
    named = [name for name, file in files.items() if file is not None]
    several = Several(jobs, as_json=as_json)
    if named and not several.alone:
        raise typer.BadParameter(f"{named[0]} names one file, and so goes with one job")
    with connect() as client:

        def show_one(job: str) -> None:
            if job != several.ids[0] and not as_json:
                out().print()
            if plan or outcome:
                show_rows(
                    *(client, job, "plan" if plan else "outcome"), kind=kind, find=find, limit=limit, as_json=as_json
                )
                return
            if plan_file is not None:
                save_rows(client, job, "plan", plan_file, kind=kind, find=find)
            if outcome_file is not None:
                save_rows(client, job, "outcome", outcome_file, kind=kind, find=find)
            shown, history = client.job(job), client.get(f"{job_path(job)}/history")
            _save_files(client, shown, save=save, errors=errors, error_file=error_file)
            if as_json:
                print_json({"batch_job": shown, **history}, one_line=not several.alone)
                return
            for saved in filter(None, files.values()):
                out().print(f"Saved {saved} ({counted(saved.stat().st_size, 'byte')})")
            if not named:
                _print_job(shown, history)

        several.each(show_one)
    several.end()


def _save_files(
    client: Client, job: Document, *, save: Path | None, errors: Path | None, error_file: Path | None
) -> None:
    if save is not None:
        key = (job["result"] or {}).get("file_key")
        if not key:
            raise Refusal(f"{job['id']} has made no file.")
        client.download(key, save)
    if errors is not None:
        client.save(f"{job_path(job['id'])}/errors", errors)
    if error_file is not None:
        client.save(f"{job_path(job['id'])}/error-file", error_file)


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

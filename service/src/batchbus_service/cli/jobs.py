"""Commands about jobs: submit, jobs, show, confirm, cancel, retry, check-again, watch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from batchbus_service.cli.client import Client, Document, NotFound, connect, job_path
from batchbus_service.cli.following import follow, print_outcome, show_plan, show_warnings, upload
from batchbus_service.cli.options import AsJson, JobId, json_object
from batchbus_service.cli.output import Refusal, local_time, omissions_text, out, print_json, print_table, status_text
from batchbus_service.cli.plans import save_rows, show_rows

__all__ = ["cancel", "check_again", "confirm", "jobs", "retry", "show", "submit", "watch"]

_FETCH_PLAN = "Fetch its plan, as CSV or JSON Lines, as the ending of FILE says."
_FETCH_ERROR_FILE = "Fetch what could not be used of the uploaded file, to be mended and sent again."
_FETCH_OUTCOME = "Fetch what became of each record, likewise."
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it rests.")]


def submit(
    type: Annotated[str, typer.Argument(help="The batch type; `batchbus types` lists them.")],
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Upload this file for the job.")
    ] = None,
    context: Annotated[
        Document,
        typer.Option(parser=json_object, metavar="JSON|@FILE", help="What the batch type wants to know."),
    ] = "{}",  # type: ignore[assignment]  # the parser makes a dict of it
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what the job would do, until it is confirmed.")
    ] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key makes no second job.")
    ] = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Create a job."""
    with connect() as client:
        job = _made_before(client, idempotency_key, type, dry_run) if idempotency_key and file else None
        if job is None:
            if file is not None:
                context = {**context, _file_field(client, type): upload(client, file, as_json=as_json)}
            headers = {"idempotency-key": idempotency_key} if idempotency_key else None
            body = {"type": type, "context": context, "dry_run": dry_run}
            job = client.post("/admin/batch-jobs", body, headers)["batch_job"]
        if as_json:
            print_json({"batch_job": job}, one_line=watch)
        else:
            out().print(f"Created {job['id']} ({escape(type)}{', dry run' if dry_run else ''})")
        if watch:
            _follow(client, job["id"], as_json=as_json)
        elif not as_json:
            out().print(f"Follow it with:  batchbus watch {job['id']}")


def _file_field(client: Client, type: str) -> str:
    """The field of the context that takes the file's key."""
    known = client.get("/admin/batch-types")["batch_types"]
    fields = next((entry["file_fields"] for entry in known if entry["type"] == type), ["fileKey"])
    if not fields:
        raise Refusal(f"Jobs of the type {type} read no file.", "Leave --file out.")
    return str(fields[0])


def jobs(
    status: Annotated[list[str] | None, typer.Option(help="Only jobs with this status; may be repeated.")] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only jobs of this type; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    query = [
        ("limit", str(limit)),
        *(("status[]", one) for one in status or ()),
        *(("type[]", one) for one in type or ()),
    ]
    with connect() as client:
        listed = client.get("/admin/batch-jobs", query)
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            job["id"],
            escape(job["type"]),
            status_text(job["status"])
            + omissions_text(job["result"])
            + (" (dry run)" if job["status"] == "pre_processed" and job["dry_run"] else ""),
            _progress(job),
            local_time(job["created_at"]),
            escape(job["created_by"] or ""),
        )
        for job in listed["batch_jobs"]
    ]
    print_table(("job", "type", "status", "done", "created", "by"), rows)
    if listed["count"] > len(rows):
        out().print(f"{len(rows)} of {listed['count']:,}; more with --limit")


def show(
    job: JobId,
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
    as_json: AsJson = False,
) -> None:
    """Show everything about a job, why it is where it is, and the way out."""
    with connect() as client:
        if plan or outcome:
            show_rows(client, job, "plan" if plan else "outcome", kind=kind, find=find, limit=limit, as_json=as_json)
            return
        if plan_file is not None:
            save_rows(client, job, "plan", plan_file, kind=kind, find=find)
        if outcome_file is not None:
            save_rows(client, job, "outcome", outcome_file, kind=kind, find=find)
        shown, history = client.job(job), client.get(f"{job_path(job)}/history")
        if save is not None:
            key = (shown["result"] or {}).get("file_key")
            if not key:
                raise Refusal(f"{job} has made no file.")
            client.download(key, save)
        if errors is not None:
            client.save(f"{job_path(job)}/errors", errors)
        if error_file is not None:
            client.save(f"{job_path(job)}/error-file", error_file)
    if as_json:
        print_json({"batch_job": shown, **history})
        return
    files = [saved for saved in (save, errors, error_file, plan_file, outcome_file) if saved is not None]
    for saved in files:
        out().print(f"Saved {saved} ({saved.stat().st_size:,} bytes)")
    if not files:
        _print_job(shown, history)


def confirm(
    job: JobId,
    plan_digest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Of the plan that you have seen; without it, the plan that is shown now."),
    ] = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Let a dry run go on. It is refused if the job has another plan by now."""
    with connect() as client:
        if plan_digest is None:
            shown = client.job(job)
            plan_digest = (shown["result"] or {}).get("plan_digest")
            if not as_json:
                show_plan(out(), shown)
        changed = client.change(job, "confirm", {"plan_digest": plan_digest} if plan_digest else None)
        _print_changed(client, changed, watch=watch, as_json=as_json)


def cancel(job: JobId, as_json: AsJson = False) -> None:
    """Call a job off. A run stops at its next chunk."""
    _change(job, "cancel", watch=False, as_json=as_json)


def retry(job: JobId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Take a failed or canceled job up again, from its last checkpoint."""
    _change(job, "retry", watch=watch, as_json=as_json)


def check_again(
    job: JobId,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Check this file instead.")
    ] = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Make the plan of a job anew that was never confirmed, from its file as it is in the store or from another one."""
    with connect() as client:
        body = None if file is None else {"fileKey": upload(client, file, as_json=as_json)}
        changed = client.change(job, "check-again", body)
        _print_changed(client, changed, watch=watch, as_json=as_json)


def watch(job: JobId, as_json: AsJson = False) -> None:
    """Follow a job until it rests."""
    with connect() as client:
        _follow(client, job, as_json=as_json)


def _change(job_id: str, what: str, *, watch: bool, as_json: bool) -> None:
    with connect() as client:
        _print_changed(client, client.change(job_id, what), watch=watch, as_json=as_json)


def _print_changed(client: Client, job: Document, *, watch: bool, as_json: bool) -> None:
    if as_json:
        print_json({"batch_job": job}, one_line=watch)
    else:
        out().print(f"{job['id']} is {status_text(job['status'])}")
    if watch:
        _follow(client, job["id"], as_json=as_json, since=job["updated_at"])


def _follow(client: Client, job_id: str, *, as_json: bool, since: str = "") -> None:
    job = follow(client, job_id, as_json=as_json, since=since)
    if not as_json:
        print_outcome(job)
    elif job["status"] in ("failed", "canceled"):
        raise typer.Exit(1)


def _made_before(client: Client, key: str, type: str, dry_run: bool) -> Document | None:
    """The job of an earlier call with the same key: its file need not be uploaded again."""
    from batchbus_events.ids import derived_job_id

    user_id = client.get("/admin/auth")["user"]["id"]
    try:
        job = client.job(derived_job_id("user-key", user_id, key))
    except NotFound:
        return None
    if (job["type"], job["dry_run"]) != (type, dry_run):
        raise Refusal(f"The key {key} was used for another request: {job['id']}.")
    return job


def _print_job(job: Document, history: Document) -> None:
    console = out()
    console.print(
        f"[bold]{job['id']}[/]  {escape(job['type'])}  {status_text(job['status'])}{omissions_text(job['result'])}"
    )
    console.print(escape(history["why"]))
    if history["way_out"]:
        console.print(escape(history["way_out"]))
    console.print(f"created {local_time(job['created_at'])} by {escape(job['created_by'] or 'nobody')}")
    console.print(f"context {escape(json.dumps(job['context'], ensure_ascii=False))}", soft_wrap=True)
    show_plan(console, job)
    show_warnings(console, job)
    result = job["result"] or {}
    if result.get("count") is not None:
        console.print(f"done {_progress(job)}")
    if result.get("file_key"):
        console.print(f"file {escape(result['file_key'])} ({result.get('file_size', 0):,} bytes)")
    for error in result.get("errors", [])[:10]:
        console.print(f"[red]error[/] {escape(str(error))}")
    if len(result.get("errors", [])) > 10:
        number = result.get("error_count", len(result["errors"]))
        console.print(f"… and {number - 10:,} more: batchbus show {job['id']} --errors FILE")
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

"""Commands that make jobs and change them: submit, confirm, cancel, retry, check-again, watch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from batchbus_service.cli.client import Client, Document, connect
from batchbus_service.cli.completion import complete_types
from batchbus_service.cli.following import follow, print_outcome, raise_unless_it_went_well, show_plan, upload
from batchbus_service.cli.options import AsJson, JobId, JobIds, json_object
from batchbus_service.cli.output import out, print_json, status_text
from batchbus_service.cli.refusals import NotFound, Refusal
from batchbus_service.cli.several import Several
from batchbus_service.cli.times import Utc

__all__ = ["cancel", "check_again", "confirm", "retry", "submit", "watch"]

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it rests.")]
FollowAll = Annotated[bool, typer.Option("--watch", "-w", help="Follow the jobs until they rest, one after the other.")]


def submit(
    type: Annotated[
        str, typer.Argument(help="The batch type; `batchbus types` lists them.", autocompletion=complete_types)
    ],
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
    utc: Utc = False,
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


def confirm(
    jobs: JobIds,
    plan_digest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Of the plan that you have seen; without it, the plan that is shown now."),
    ] = None,
    watch: FollowAll = False,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Let dry runs go on. One is refused if the job has another plan by now."""
    if plan_digest is not None and len(set(jobs)) > 1:
        raise typer.BadParameter("--plan-digest goes with one job, as each has a plan of its own")

    def confirmed(client: Client, job_id: str) -> Document:
        digest = plan_digest
        if digest is None:
            shown = client.job(job_id)
            digest = (shown["result"] or {}).get("plan_digest")
            if not as_json:
                show_plan(out(), shown)
        return client.change(job_id, "confirm", {"plan_digest": digest} if digest else None)

    _change(jobs, confirmed, watch=watch, as_json=as_json)


def cancel(jobs: JobIds, as_json: AsJson = False) -> None:
    """Call jobs off. A run stops at its next chunk."""
    _change(jobs, lambda client, job_id: client.change(job_id, "cancel"), watch=False, as_json=as_json)


def retry(jobs: JobIds, watch: FollowAll = False, utc: Utc = False, as_json: AsJson = False) -> None:
    """Take failed or canceled jobs up again, each from its last checkpoint."""
    _change(jobs, lambda client, job_id: client.change(job_id, "retry"), watch=watch, as_json=as_json)


def check_again(
    job: JobId,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Check this file instead.")
    ] = None,
    watch: Watch = False,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Make the plan of a job anew that was never confirmed, from its file as it is in the store or from another one."""

    def checked(client: Client, job_id: str) -> Document:
        body = None if file is None else {"fileKey": upload(client, file, as_json=as_json)}
        return client.change(job_id, "check-again", body)

    _change([job], checked, watch=watch, as_json=as_json)


def watch(job: JobId, utc: Utc = False, as_json: AsJson = False) -> None:
    """Follow a job until it rests."""
    with connect() as client:
        _follow(client, job, as_json=as_json)


def _change(ids: list[str], change: Callable[[Client, str], Document], *, watch: bool, as_json: bool) -> None:
    """Change each of the jobs; then follow those that could be changed, if that is wanted."""
    several = Several(ids, as_json=as_json)
    changed: dict[str, Document] = {}
    with connect() as client:

        def change_one(job_id: str) -> None:
            job = changed[job_id] = change(client, job_id)
            if as_json:
                print_json({"batch_job": job}, one_line=watch or not several.alone)
            else:
                out().print(f"{job['id']} is {status_text(job['status'])}")

        def follow_one(job_id: str) -> None:
            _follow(client, job_id, as_json=as_json, since=changed[job_id]["updated_at"])

        several.each(change_one)
        if watch:
            several.each(follow_one, changed)
    several.end()


def _follow(client: Client, job_id: str, *, as_json: bool, since: str = "") -> None:
    job = follow(client, job_id, as_json=as_json, since=since)
    raise_unless_it_went_well(job)
    if not as_json:
        print_outcome(job)


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

"""Commands about replays: plan, run, list, show, pause, resume, abort."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.progress import Progress

from batchbus_service.cli.client import Client, Document, connect
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.tables import print_table
from batchbus_service.cli.times import Utc, bounds, local_time, moment
from batchbus_service.domain.plurals import counted

__all__ = ["abort", "list_replays", "pause", "plan", "resume", "run", "show"]

ReplayId = Annotated[str, typer.Argument(metavar="REPLAY", help="The replay's id.")]
Rate = Annotated[int | None, typer.Option(min=1, max=100_000, metavar="N", help="Events per second, at most.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it ends or is paused.")]

_LOOK_EVERY: Final = 0.5
_GOES_ON: Final = ("planning", "running")


def plan(
    reason: Annotated[str, typer.Option(help="Why; it is kept with the replay.")],
    queue: Annotated[str | None, typer.Option(help="The queue of the subscriber that is to get the events.")] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Publish to batch.events instead: every subscriber gets them.")
    ] = False,
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Events from then on; 2h is two hours ago.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(parser=moment, metavar="TIME", help="Events before then.")] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="Only these events, such as batch.completed; may be repeated.")
    ] = None,
    type: Annotated[list[str] | None, typer.Option(help="Only jobs of this batch type; may be repeated.")] = None,
    job: Annotated[list[str] | None, typer.Option(help="Only this job; may be repeated.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only jobs that are in this status; may be repeated.")
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Only jobs created by this user's id; may be repeated.")] = None,
    rate: Rate = None,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Count what a replay would publish. Nothing is published before it is run."""
    if (queue is None) != everyone:
        raise typer.BadParameter("name the --queue of one subscriber, or say --everyone")
    chosen: dict[str, object] = {
        **bounds(since, until),
        "types": event,
        "batch_types": type,
        "job_ids": job,
        "statuses": status,
        "created_by": by,
    }
    body: Document = {
        "selection": {name: value for name, value in chosen.items() if value},
        "destination": {"exchange": "batch.events"} if everyone else {"queue": queue},
        "reason": reason,
    }
    if rate:
        body["rate"] = rate
    with connect() as client:
        replay = client.post("/admin/replays", body)["replay"]
        while replay["status"] == "planning":
            time.sleep(_LOOK_EVERY)
            replay = _get(client, replay["id"])
    if as_json:
        print_json({"replay": replay})
        return
    _print(replay)
    if replay["status"] == "planned":
        out().print(f"\nNothing has been published. Run it with:  batchbus replay run {replay['id']}")


def run(
    replay: ReplayId,
    yes: Annotated[
        bool, typer.Option("--yes", help="I mean it: for more than 10,000 events, and for everyone.")
    ] = False,
    rate: Rate = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Publish the events of a replay that is planned."""
    _act(replay, "run", {"confirm": yes, **({"rate": rate} if rate else {})}, watch=watch, as_json=as_json)


def pause(replay: ReplayId, as_json: AsJson = False) -> None:
    """Stop a replay after the batch that is on its way."""
    _act(replay, "pause", {}, watch=False, as_json=as_json)


def resume(replay: ReplayId, rate: Rate = None, watch: Watch = False, as_json: AsJson = False) -> None:
    """Let a paused replay go on; with --rate, change the rate of one that runs."""
    _act(replay, "resume", {"rate": rate} if rate else {}, watch=watch, as_json=as_json)


def abort(replay: ReplayId, as_json: AsJson = False) -> None:
    """End a replay where it is. What was published stays published."""
    _act(replay, "abort", {}, watch=False, as_json=as_json)


def show(replay: ReplayId, utc: Utc = False, as_json: AsJson = False) -> None:
    """Show a replay: what, where to, how far, and who did what to it."""
    with connect() as client:
        shown = _get(client, replay)
    if as_json:
        print_json({"replay": shown})
    else:
        _print(shown)


def list_replays(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, at most.")] = 20,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List replays, the newest first."""
    with connect() as client:
        listed = client.get("/admin/replays", [("limit", str(limit))])
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            replay["id"],
            replay["status"],
            _done(replay),
            escape(_destination(replay)),
            local_time(replay["created_at"]),
            escape(replay["created_by"]),
            escape(replay["reason"]),
        )
        for replay in listed["replays"]
    ]
    print_table(("replay", "status", "published", "to", "planned", "by", "reason"), rows, prose=("to", "reason"))


def _act(replay_id: str, what: str, body: Document, *, watch: bool, as_json: bool) -> None:
    with connect() as client:
        replay = client.post(f"/admin/replays/{replay_id}/{what}", body)["replay"]
        if watch:
            replay = _follow(client, replay, quiet=as_json)
    if as_json:
        print_json({"replay": replay})
    else:
        out().print(f"{replay['id']} is {replay['status']}, {_done(replay)} published")
    if watch and replay["status"] in ("paused", "failed"):
        raise Refusal(replay["trouble"] or f"{replay['id']} was paused.")


def _follow(client: Client, replay: Document, *, quiet: bool) -> Document:
    with Progress(console=out(), disable=quiet) as progress:
        bar = progress.add_task("publishing", total=replay["plan"]["events"])
        while replay["status"] in _GOES_ON:
            progress.update(bar, completed=replay["published"], description=replay["trouble"] or "publishing")
            time.sleep(_LOOK_EVERY)
            replay = _get(client, replay["id"])
        progress.update(bar, completed=replay["published"])
    return replay


def _get(client: Client, replay_id: str) -> Document:
    replay: Document = client.get(f"/admin/replays/{replay_id}")["replay"]
    return replay


def _print(replay: Document) -> None:
    console = out()
    console.print(f"[bold]{replay['id']}[/]  {replay['status']}")
    console.print(f"to {escape(_destination(replay))}, at most {counted(replay['rate'], 'event')} a second")
    console.print(f"because {escape(replay['reason'])}")
    if replay["trouble"]:
        console.print(f"[red]{escape(replay['trouble'])}[/]")
    if (plan := replay["plan"]) is not None:
        span = f", from {local_time(plan['first'])} to {local_time(plan['last'])}" if plan["events"] else ""
        console.print(f"{counted(plan['events'], 'event')} of {counted(plan['jobs'], 'job')}{span}")
        for name, number in plan["by_type"].items():
            console.print(f"  {number:>9,}  {name}")
        if not plan["destination_exists"]:
            console.print("[yellow]The queue did not exist when this was planned.[/]")
        elif plan["consumers"] is not None:
            consumers, waiting = counted(plan["consumers"], "consumer"), counted(plan["waiting"], "message")
            console.print(f"the queue had {consumers}, and {waiting} waiting")
        console.print(f"effect on batchbus itself: {plan['effect_on_batchbus']}")
    if replay["started_at"]:
        console.print(f"{_done(replay)} published, {replay['repeated']:,} of them perhaps twice")
    console.print()
    rows = [
        (local_time(entry["at"]), escape(entry["by"]), entry["what"], escape(_details(entry["details"])))
        for entry in replay["audit"]
    ]
    print_table(("time", "by", "what", ""), rows, prose=("",))


def _destination(replay: Document) -> str:
    destination = replay["destination"]
    return f"the queue {destination['queue']}" if "queue" in destination else f"everyone ({destination['exchange']})"


def _done(replay: Document) -> str:
    return f"{replay['published']:,} of {replay['plan']['events']:,}" if replay["plan"] else ""


def _details(details: Document) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())

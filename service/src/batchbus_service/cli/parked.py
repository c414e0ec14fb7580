"""Commands about parked messages: list, show, requeue, discard."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer
from rich.markup import escape

from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.several import Several
from batchbus_service.cli.tables import print_table
from batchbus_service.cli.times import Utc, bounds, local_time, moment
from batchbus_service.domain.plurals import counted

__all__ = ["discard", "list_parked", "requeue", "show"]

_DONE: Final = {"requeue": "requeued", "discard": "discarded"}

Ids = Annotated[list[str] | None, typer.Argument(metavar="PARKED...", help="Ids of parked messages.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the message.")]
All = Annotated[bool, typer.Option("--all", help="All that are parked now and match the options below.")]
Key = Annotated[str | None, typer.Option(help="Only messages with this routing key.")]
Because = Annotated[str | None, typer.Option(metavar="TEXT", help="Only messages with this text in their reason.")]
Since = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only those that failed from then on.")
]
Until = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Only those that failed before then.")
]


def list_parked(
    state: Annotated[str, typer.Option(help="parked, requeued, replaced or discarded.")] = "parked",
    routing_key: Key = None,
    because: Because = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, at most.")] = 20,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List messages that could not be used, those that failed last first."""
    query = {"state": state, "limit": str(limit), **_filter(routing_key, because, since, until)}
    with connect() as client:
        listed = client.get("/admin/parked", list(query.items()))
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            message["id"],
            local_time(message["last_failed_at"]),
            str(message["times"]),
            escape(message["routing_key"]),
            escape(message["reason"]),
        )
        for message in listed["parked"]
    ]
    print_table(("parked", "failed", "times", "routing key", "reason"), rows, prose=("reason",))
    if listed["count"] > len(rows):
        out().print(f"{len(rows):,} of {listed['count']:,}; more with --limit")


def show(parked: Annotated[str, typer.Argument(metavar="PARKED")], utc: Utc = False, as_json: AsJson = False) -> None:
    """Show a parked message: what it is, why it failed, and who did what about it."""
    with connect() as client:
        shown = client.get(f"/admin/parked/{quote(parked, safe='')}")["parked"]
    if as_json:
        print_json({"parked": shown})
        return
    console = out()
    console.print(f"[bold]{shown['id']}[/]  {shown['state']}")
    console.print(escape(shown["reason"]))
    console.print(
        f"failed {counted(shown['times'], 'time')}, from {local_time(shown['first_failed_at'])} "
        f"to {local_time(shown['last_failed_at'])}"
    )
    console.print(
        f"routing key {escape(shown['routing_key'])}, published by {escape(shown['user_id'] or 'nobody known')}"
    )
    for name, value in shown["headers"].items():
        console.print(escape(f"{name}: {value}"))
    console.print(f"\n{escape(shown.get('body') or shown.get('body_base64', ''))}\n", soft_wrap=True)
    rows = [
        (local_time(entry["at"]), escape(entry["by"]), entry["what"], escape(entry["reason"]))
        for entry in shown["audit"]
    ]
    print_table(("time", "by", "what", "because"), rows, prose=("because",))


def requeue(
    reason: Reason,
    parked: Ids = None,
    all: All = False,
    body: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Put this back instead of the one message named; it is kept."),
    ] = None,
    routing_key: Key = None,
    because: Because = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Put messages back where triggers come in."""
    if body is not None and len(parked or []) != 1:
        raise typer.BadParameter("--body goes with one message")
    edited: Document = {"body": _text(body)} if body else {}
    _deal("requeue", parked, all, _filter(routing_key, because, since, until), reason, edited, as_json=as_json)


def discard(
    reason: Reason,
    parked: Ids = None,
    all: All = False,
    routing_key: Key = None,
    because: Because = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Have messages looked at no more. They are kept all the same."""
    _deal("discard", parked, all, _filter(routing_key, because, since, until), reason, {}, as_json=as_json)


def _deal(
    what: str, ids: list[str] | None, all: bool, chosen: Document, reason: str, edited: Document, *, as_json: bool
) -> None:
    if bool(ids) == all or (ids and chosen):
        raise typer.BadParameter("name the messages, or say --all, with options that choose among them if you like")
    several = Several(ids or (), as_json=False)  # what was done is one document, and what went wrong is none of it
    with connect() as client:
        if all:
            answer = client.post(f"/admin/parked/{what}", {"reason": reason, "filter": chosen})
            number = answer[_DONE[what]]
        else:
            dealt_with: list[Document] = []

            def deal(one: str) -> None:
                path = f"/admin/parked/{quote(one, safe='')}/{what}"
                dealt_with.append(client.post(path, {"reason": reason, **edited})["parked"])

            several.each(deal)
            answer, number = {"parked": dealt_with}, len(dealt_with)
    if as_json:
        print_json(answer)
    else:
        out().print(f"{_DONE[what].capitalize()} {counted(number, 'message')}")
    several.end()


def _filter(
    routing_key: str | None, because: str | None, since: datetime | None, until: datetime | None
) -> dict[str, str]:
    texts = {"routing_key": routing_key, "reason": because}
    return {name: text for name, text in texts.items() if text is not None} | bounds(since, until)


def _text(file: Path) -> str:
    try:
        return json.dumps(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from None

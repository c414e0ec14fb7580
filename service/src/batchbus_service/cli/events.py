"""Commands about events: tail, publish."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated

import typer
from rich.markup import escape

from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.options import AsJson, json_object
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.times import Utc, bounds, local_time, moment

__all__ = ["publish", "tail"]


def tail(
    pattern: Annotated[
        str, typer.Argument(help="A topic pattern: * for one word, # for any number of them.")
    ] = "batch.#",
    since: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Past events first, from then on."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show events as they pass, until Ctrl-C."""
    query = [("pattern", pattern), *bounds(since).items()]
    with connect() as client:
        try:
            for event in islice(client.events("/admin/events", query), limit):
                envelope: Document = event.json()
                if as_json:
                    print_json(envelope, one_line=True)
                else:
                    out().print(_line(envelope))
        except KeyboardInterrupt:
            return


def publish(
    type: Annotated[str, typer.Argument(help="batch.created, batch.confirmed or batch.canceled.")],
    subject: Annotated[str | None, typer.Option(metavar="JOB", help="The job's id.")] = None,
    data: Annotated[Document, typer.Option(parser=json_object, metavar="JSON|@FILE", help="The event's data.")] = "{}",  # type: ignore[assignment]  # the parser makes a dict of it
    as_json: AsJson = False,
) -> None:
    """Publish a trigger, as another service would."""
    body: Document = {"type": type, "data": data}
    if subject is not None:
        body["subject"] = subject
    with connect() as client:
        published = client.post("/admin/events", body)
    if as_json:
        print_json(published)
    else:
        out().print(f"Published {type} as {published['event']['id']}")


def _line(envelope: Document) -> str:
    data = envelope["data"]
    parts = [
        local_time(envelope.get("time"), form="%H:%M:%S"),
        f"{envelope['type']:<20}",
        envelope.get("subject") or "",
    ]
    parts.append(data.get("type", ""))
    if data.get("progress") is not None:
        parts.append(f"{data['progress']:.0%}")
    parts.append(str(data.get("error") or data.get("reason") or ""))
    return escape("  ".join(word for word in parts if word))

"""The command that lets services read a file that one has uploaded."""

from __future__ import annotations

from typing import Annotated

import typer

from batchbus_service.cli.client import connect
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json

__all__ = ["grant"]

Services = Annotated[
    list[str] | None,
    typer.Argument(help="Users of the broker, in place of those before. Without any, nobody is granted it any more."),
]


def grant(
    file: Annotated[str, typer.Argument(help="The key of the upload.")],
    services: Services = None,
    as_json: AsJson = False,
) -> None:
    """Let jobs of these services on the bus read a file that you have uploaded, and of no others."""
    with connect() as client:
        answer = client.post("/admin/uploads/grants", {"file_key": file, "services": services or []})
    if as_json:
        print_json(answer)
        return
    granted = ", ".join(answer["services"])
    out().print(
        f"{answer['file_key']} is granted to {granted}" if granted else f"{answer['file_key']} is granted to nobody"
    )

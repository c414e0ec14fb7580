"""Commands about batch types: types, template."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import typer
from rich.markup import escape

from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.completion import complete_types
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.tables import print_table
from batchbus_service.domain.plurals import counted

__all__ = ["template", "types"]


def types(as_json: AsJson = False) -> None:
    """List the batch types, and which strategy serves each of them."""
    with connect() as client:
        listed = client.get("/admin/batch-types")
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            escape(entry["type"]),
            escape(entry["identifier"]),
            escape(entry["origin"]),
            escape(", ".join(other["identifier"] for other in entry["overrides"])),
        )
        for entry in listed["batch_types"]
    ]
    print_table(("type", "strategy", "from", "instead of"), rows)


def template(
    type: Annotated[str, typer.Argument(help="The batch type.", autocompletion=complete_types)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Instead of standard output.")
    ] = None,
    format: Annotated[
        Literal["csv", "xlsx"], typer.Option(help="What kind of file; an XLSX explains its columns on a second sheet.")
    ] = "csv",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what each column holds, instead of the file.")
    ] = False,
) -> None:
    """Fetch a file to fill in, or have its columns explained."""
    route = f"/admin/batch-types/{quote(type, safe='')}"
    with connect() as client:
        if explain:
            _print_columns(client.get(f"{route}/columns")["columns"])
            return
        content = client.fetch(f"{route}/template?format={format}")
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(content)
        out().print(f"Wrote {output} ({counted(len(content), 'byte')})")


def _print_columns(columns: list[Document]) -> None:
    for column in columns:
        example = f" Example: {column['example']}" if column["example"] else ""
        out().print(f"{escape(column['name'])}: {escape(column['says'])}.{escape(example)}", soft_wrap=True)

"""The command that has the service forget what a job has left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from batchbus_service.cli.client import connect
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json

__all__ = ["forget"]


def forget(job: Annotated[str, typer.Argument(help="The job's id.")], as_json: AsJson = False) -> None:
    """Remove a job's plan, outcome, error file and row errors; the job itself, uploads and exports stay."""
    with connect() as client:
        answer = client.forget(job)
    if as_json:
        print_json(answer)
    else:
        out().print(f"{answer['files_removed']:,} files of {answer['id']} removed")

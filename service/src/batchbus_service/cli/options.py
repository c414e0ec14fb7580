"""Options and arguments that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from batchbus_service.cli.client import Document
from batchbus_service.cli.completion import complete_jobs

__all__ = ["AsJson", "JobId", "JobIds", "json_object"]

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", autocompletion=complete_jobs)]
JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs.", autocompletion=complete_jobs)]


def json_object(text: str) -> Document:
    """A JSON object as an option gives it: itself, or `@` and the name of a file with it."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"cannot read {text[1:]}: {error}") from None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('must be a JSON object, such as {"fileKey": "…"}')
    return value

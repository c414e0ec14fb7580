"""Options and arguments that several commands share."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from batchbus_service.cli.client import Document

__all__ = ["TIME_FORMATS", "AsJson", "JobId", "bounds", "json_object"]

TIME_FORMATS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
"""Times as options give them; without a zone, on the reader's clock."""

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


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


def bounds(since: datetime | None, until: datetime | None = None) -> dict[str, str]:
    """The times that options give, as the API takes them."""
    return {
        name: time.astimezone().isoformat() for name, time in (("since", since), ("until", until)) if time is not None
    }

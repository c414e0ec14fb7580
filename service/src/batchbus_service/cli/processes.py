"""Commands that are the service itself: up, serve, worker, asyncapi."""

from __future__ import annotations

import asyncio
import errno
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batchbus_service.cli.output import print_json
from batchbus_service.cli.refusals import Refusal
from batchbus_service.domain.shown import shown

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["asyncapi", "serve", "up", "worker"]

_OF_A_DISK: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EIO, errno.ENAMETOOLONG}
)
"""What is wrong with a disk or a folder, and not with the program."""

CreateAdmin = Annotated[
    str | None,
    typer.Option(metavar="EMAIL", help="Create an administrator, unless there is one, and print a token once."),
]


def up(create_admin: CreateAdmin = None) -> None:
    """Everything in one process; with neither broker nor database set, both are embedded."""
    _run(_load_settings(), work=True, http=True, create_admin=create_admin)


def serve(create_admin: CreateAdmin = None) -> None:
    """The HTTP API, for workers in processes of their own."""
    _run(_shared(_load_settings(), "serve"), work=False, http=True, create_admin=create_admin)


def worker() -> None:
    """A worker: takes triggers and runs jobs."""
    _run(_shared(_load_settings(), "worker"), work=True, http=False)


def asyncapi() -> None:
    """Print the AsyncAPI document: every event on the bus."""
    from batchbus_events.asyncapi import document

    print_json(document())


def _load_settings() -> Settings:
    """From the environment; ends the command as wrong usage if they cannot be used."""
    from batchbus_service.domain.errors import BadSettings
    from batchbus_service.domain.settings import Settings

    try:
        return Settings.load()
    except BadSettings as error:
        sys.stderr.write(shown(f"{error}\n", lines=True))
        raise typer.Exit(2) from None


def _shared(settings: Settings, command: str) -> Settings:
    """Separate processes meet in a broker and a database."""
    missing = [
        name
        for name, absent in (
            ("BATCHBUS_AMQP_URL", settings.amqp_url.startswith("memory://")),
            ("BATCHBUS_MONGODB_URL", settings.embedded),
        )
        if absent
    ]
    if missing:
        raise Refusal(
            f"`batchbus {command}` needs {' and '.join(missing)}: the embedded ones live in one process alone.",
            "`batchbus up` runs everything in one process.",
        )
    return settings


def _run(settings: Settings, *, work: bool, http: bool, create_admin: str | None = None) -> None:
    from batchbus_service.cli.process import Parts, run
    from batchbus_service.telemetry.logs import configure

    configure(format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(run(settings, Parts(work=work, http=http, create_admin=create_admin)))
    except Exception as error:
        if (refusal := _as_refusal(error)) is None:
            raise
        raise refusal from None


def _as_refusal(error: Exception) -> Refusal | None:
    """Why the process could not start or go on; None for an unexpected error. Imports nothing before it is needed."""
    from batchbus_events.bus import BusError
    from batchbus_service.domain.errors import BadUser, CannotStart, StoreError
    from batchbus_strategies import RegistryError

    match error:
        case CannotStart() | BadUser() | RegistryError():
            return Refusal(str(error))
        case StoreError() | BusError():
            return Refusal(str(error), "`batchbus doctor` says what can be reached and what cannot.")
        case OSError(errno=number) if number in _OF_A_DISK:
            return Refusal(
                f"{error}.", "`batchbus doctor` says which folders cannot be written to, and which disks are full."
            )
        case _:
            return None

"""Commands that are the service itself: up, serve, worker, asyncapi."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Annotated, Final

import typer

from batchbus_service.cli.output import print_json, say
from batchbus_service.cli.refusals import Refusal

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


Processes = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="How many processes share the slots; by default one for each processor it may use."
    ),
]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="End when the standard input ends.")]


def up(create_admin: CreateAdmin = None) -> None:
    """Everything in one process; with neither broker nor database set, both are embedded."""
    settings = _load_settings()
    if settings.worker_processes not in (None, 1) and settings.embedded_broker:
        raise Refusal(
            "`batchbus up` without a broker runs everything in one process: no other could reach its bus.",
            "Unset BATCHBUS_WORKER_PROCESSES, or set BATCHBUS_AMQP_URL and start `batchbus worker` beside `batchbus serve`.",
        )
    _run(settings, work=True, http=True, create_admin=create_admin)


def serve(create_admin: CreateAdmin = None) -> None:
    """The HTTP API, for workers in processes of their own."""
    _run(_shared(_load_settings(), "serve"), work=False, http=True, create_admin=create_admin)


def worker(processes: Processes = None, supervised: Supervised = False) -> None:
    """A worker: takes triggers and runs jobs, in as many processes as there are processors, unless told otherwise."""
    from batchbus_service.cli.worker_processes import number_of, run_processes

    settings = _shared(_load_settings(), "worker")
    number = number_of(processes or settings.worker_processes, settings)
    if number == 1:
        _run(settings, work=True, http=False, supervised=supervised)
    else:
        asyncio.run(run_processes(settings, number))


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
        say(str(error))
        raise typer.Exit(2) from None


def _shared(settings: Settings, command: str) -> Settings:
    """Separate processes meet in a broker and a database."""
    if missing := settings.embedded_parts.values():
        raise Refusal(
            f"`batchbus {command}` needs {' and '.join(missing)}: the embedded ones live in one process alone.",
            "`batchbus up` runs everything in one process.",
        )
    return settings


def _run(
    settings: Settings, *, work: bool, http: bool, create_admin: str | None = None, supervised: bool = False
) -> None:
    from batchbus_service.cli.process import Parts, run
    from batchbus_service.telemetry.logs import configure

    configure(format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(run(settings, Parts(work=work, http=http, create_admin=create_admin, supervised=supervised)))
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

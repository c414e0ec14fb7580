"""The commands, by name."""

from __future__ import annotations

from collections.abc import Callable

import typer

from batchbus_service import __version__
from batchbus_service.cli import batch_types, doctor, events, jobs, processes

__all__ = ["app"]

app = typer.Typer(
    name="batchbus",
    help="Runs long batch jobs for services that talk over RabbitMQ.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_events = typer.Typer(no_args_is_help=True, help="See events as they pass, and publish triggers.")

_commands: tuple[Callable[..., None], ...] = (
    *(processes.up, processes.serve, processes.worker),
    *(jobs.submit, jobs.jobs, jobs.show, jobs.confirm, jobs.cancel, jobs.retry, jobs.watch),
    *(batch_types.types, batch_types.template),
    *(processes.asyncapi, doctor.doctor),
)
for _command in _commands:
    app.command()(_command)
_events.command()(events.tail)
_events.command()(events.publish)
app.add_typer(_events, name="events")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version.")) -> None:
    if version:
        typer.echo(f"batchbus {__version__}")
        raise typer.Exit

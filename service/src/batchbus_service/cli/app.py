"""The commands, by name."""

from __future__ import annotations

from collections.abc import Callable

import typer

from batchbus_service import __version__
from batchbus_service.cli import (
    access,
    batch_types,
    doctor,
    events,
    files,
    job_files,
    job_lists,
    jobs,
    parked,
    processes,
    replay,
    scaffolding,
)

__all__ = ["app"]

app = typer.Typer(
    name="batchbus",
    help="Runs long batch jobs for services that talk over RabbitMQ.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_events = typer.Typer(no_args_is_help=True, help="See events as they pass, and publish triggers.")
_users = typer.Typer(no_args_is_help=True, help="Add users, and list them.")
_parked = typer.Typer(no_args_is_help=True, help="See messages that could not be used, put them back, discard them.")
_replay = typer.Typer(no_args_is_help=True, help="Publish past events again: to one subscriber, or to everyone.")
_tokens = typer.Typer(no_args_is_help=True, help="Make API tokens, list and revoke them.")

_commands: tuple[Callable[..., None], ...] = (
    *(processes.up, processes.serve, processes.worker),
    *(jobs.submit, job_lists.jobs, job_lists.show, jobs.confirm, jobs.cancel, jobs.retry, jobs.check_again, jobs.watch),
    job_files.forget,
    files.grant,
    *(batch_types.types, batch_types.template, scaffolding.new),
    *(processes.asyncapi, doctor.doctor),
)
for _command in _commands:
    app.command()(_command)
_events.command()(events.tail)
_events.command()(events.publish)
app.add_typer(_events, name="events")
_replay_commands: tuple[Callable[..., None], ...] = (
    *(replay.plan, replay.run, replay.show),
    *(replay.pause, replay.resume, replay.abort),
)
for _command in _replay_commands:
    _replay.command()(_command)
_replay.command("list")(replay.list_replays)
app.add_typer(_replay, name="replay")
_parked.command("list")(parked.list_parked)
_parked.command()(parked.show)
_parked.command()(parked.requeue)
_parked.command()(parked.discard)
app.add_typer(_parked, name="parked")
_users.command("add")(access.add_user)
_users.command("list")(access.list_users)
app.add_typer(_users, name="users")
_tokens.command("create")(access.create_token)
_tokens.command("list")(access.list_tokens)
_tokens.command("revoke")(access.revoke_token)
app.add_typer(_tokens, name="tokens")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version.")) -> None:
    if version:
        typer.echo(f"batchbus {__version__}")
        raise typer.Exit

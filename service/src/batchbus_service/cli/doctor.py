"""Command: doctor. Looks at everything the service needs, says what is wrong and the way out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from batchbus_service.cli.checks import environment, files, network
from batchbus_service.cli.checks.broker import broker
from batchbus_service.cli.checks.check import Check
from batchbus_service.cli.checks.clocks import Clocks
from batchbus_service.cli.checks.database import database
from batchbus_service.cli.checks.strategies import strategies
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["doctor", "examine"]


def doctor(
    as_json: AsJson = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Declare exchanges and queues that the broker lacks.")
    ] = False,
) -> None:
    """Check settings, database, broker, files, strategies and the running service. It only looks, unless told to repair."""
    from batchbus_service.domain.errors import BadSettings
    from batchbus_service.domain.settings import Settings

    try:
        settings = Settings.load()
    except BadSettings as error:
        hint = "Correct the variable; docs/settings.md says what each takes."
        checks = [Check("settings", False, str(error), hint), environment.variables()]
    else:
        with _silence():
            checks = asyncio.run(examine(settings, repair=repair))
    if as_json:
        print_json({"findings": [check.to_json() for check in checks]})
    else:
        for check in checks:
            sign = "[green]ok  [/]" if check.fine else "[bold red]BAD [/]"
            out().print(f"{sign} {check.what:<10} {escape(check.message)}")
            if check.hint:
                out().print(f"                {escape(check.hint)}")
    if not all(check.fine for check in checks):
        sys.stdout.flush()
        raise typer.Exit(1)


@contextmanager
def _silence() -> Iterator[None]:
    """What the parts would log while they are looked at is in the findings."""
    import logging

    import structlog

    before = structlog.get_config()
    logging.disable(logging.CRITICAL)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)


async def examine(
    settings: Settings, *, repair: bool = False, now: Callable[[], datetime] | None = None
) -> list[Check]:
    """One check for each thing that the service needs. `now`: the clock of this machine, aware and in UTC."""
    clocks = Clocks(now)
    return [
        environment.required(settings),
        environment.variables(),
        environment.command(settings),
        files.data_directory(settings),
        await database(settings, clocks),
        await broker(settings, clocks, repair=repair),
        clocks.check(),
        await files.file_store(settings),
        files.private(settings),
        strategies(settings),
        await network.ports(settings),
        await network.service(),
    ]

"""Command: doctor. Looks at everything the service needs, says what is wrong and the way out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.refusals import Refusal

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["Check", "doctor", "examine"]

_TIMEOUT: Final = 5.0
"""Seconds for each thing that is asked over the network."""
_NEWEST: Final = 1000
"""So many jobs are read, to see whether they can be."""
_NAMED: Final = 5
"""So many of those that cannot are named."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `hint` is there when something is wrong."""

    what: str
    fine: bool
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, str | bool | None]:
        return {"what": self.what, "fine": self.fine, "words": self.message, "way_out": self.hint}


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
        checks = [Check("settings", False, str(error), hint)]
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


async def examine(settings: Settings, *, repair: bool = False) -> list[Check]:
    """One finding for each thing that the service needs."""

    async def _broker(settings: Settings) -> Check:
        return await _broker_of(settings, repair=repair)

    looks: tuple[Callable[[Settings], Awaitable[Check]], ...] = (
        *(_database, _broker, _files, _private, _strategies, _service),
    )
    return [_settings(settings), *[await look(settings) for look in looks]]


def _settings(settings: Settings) -> Check:
    if not settings.embedded and settings.jwt_secret is None:
        return Check(
            "settings",
            False,
            "BATCHBUS_JWT_SECRET is not set, and HTTP cannot be served without it.",
            "Set it to a secret of at least 16 characters, the same in every process that serves HTTP.",
        )
    return Check("settings", True, f"all can be used; the data directory is {settings.data_dir.absolute()}")


async def _database(settings: Settings) -> Check:
    from batchbus_service.domain.errors import EmbeddedMongoError, StoreUnavailable
    from batchbus_service.storage.mongo.embedded import DataDirInUse

    try:
        async with _url(settings) as url:
            if url is None:
                return Check("database", True, "embedded; it is created by the first `batchbus up`")
            return await _jobs_in(settings, url)
    except DataDirInUse as error:
        process = f"process {error.holder.pid}" if error.holder else "another process"
        return Check("database", True, f"embedded, in use by {process}")
    except EmbeddedMongoError as error:
        return Check("database", False, str(error), "Set BATCHBUS_MONGODB_URL to use a MongoDB server instead.")
    except StoreUnavailable as error:
        cause = error.__cause__ or error  # the driver says more
        return Check(
            "database",
            False,
            f"MongoDB cannot be used: {type(cause).__name__}: {str(cause).split(', Timeout')[0]}",
            "Check BATCHBUS_MONGODB_URL, that the server runs, has room on its disk, and that its user may read and write.",
        )


async def _jobs_in(settings: Settings, url: str) -> Check:
    """Whether the database works, and the jobs that were made last can be read. Raises `StoreUnavailable`."""
    from batchbus_service.storage.clock import SystemClock
    from batchbus_service.storage.mongo.connection import mongo_stores, open_database

    async with open_database(url, settings.mongodb_database, answer_seconds=_TIMEOUT) as database:
        stores = mongo_stores(database, SystemClock(), embedded=settings.embedded)
        message = f"MongoDB {await stores.server.version()}, database {settings.mongodb_database}"
        await stores.server.try_out()
        unreadable = await stores.listings.unreadable(newest=_NEWEST)
    if not unreadable:
        return Check("database", True, message)
    named = "; ".join(str(error) for error in unreadable[:_NAMED])
    return Check(
        "database",
        False,
        f"{message}: of the newest {_NEWEST:,} jobs, {len(unreadable):,} cannot be read. {named}",
        "Nothing else is wrong with them: run the version of batchbus that wrote them, or mend them in the collection jobs.",
    )


@asynccontextmanager
async def _url(settings: Settings) -> AsyncIterator[str | None]:
    """Where the database is; None for an embedded one that is not there yet."""
    import importlib.util

    from batchbus_service.storage.mongo.embedded import EmbeddedMongo, EmbeddedMongoMissing

    if not settings.embedded:
        yield settings.mongodb_url
    elif importlib.util.find_spec("secantus") is None:
        raise EmbeddedMongoMissing
    elif not (settings.data_dir / "mongodb").exists():
        yield None
    else:
        async with EmbeddedMongo.start(settings.data_dir) as url:
            yield url


async def _broker_of(settings: Settings, *, repair: bool) -> Check:
    from batchbus_events import topics
    from batchbus_events.bus import BusError, TopologyMismatch

    if settings.amqp_url.startswith("memory://"):
        return Check("broker", True, "embedded, within the process")
    from batchbus_events.rabbitmq import RabbitBus

    try:
        async with (
            asyncio.timeout(2 * _TIMEOUT),
            RabbitBus.open(settings.amqp_url, name="batchbus doctor", declare=repair) as bus,
        ):
            missing = await bus.missing()
        if len(missing) == len(topics.EXCHANGES) + len(topics.shared_queues()):
            return Check("broker", True, "RabbitMQ, with nothing of batchbus yet; the first process declares it")
        if missing:
            return Check(
                "broker",
                False,
                f"RabbitMQ lacks what batchbus needs: {', '.join(missing)}",
                "Start a process of batchbus, which declares it; or run `batchbus doctor --repair`.",
            )
        return Check("broker", True, "RabbitMQ, with every exchange and queue in place")
    except TopologyMismatch as error:
        return Check("broker", False, str(error), "Delete the queue or exchange that it names, once it is empty.")
    except (BusError, TimeoutError) as error:
        reason = str(error) or f"no answer within {2 * _TIMEOUT:g} seconds"
        return Check(
            "broker",
            False,
            f"RabbitMQ cannot be used: {reason}",
            "Check BATCHBUS_AMQP_URL, that the server runs, and its user's password and permissions.",
        )


async def _files(settings: Settings) -> Check:
    from batchbus_service.storage.files import FileStore

    if settings.files_url is None and not settings.data_dir.exists():
        return Check("files", True, "in the data directory, which the first start creates")
    url = settings.files_url or (settings.data_dir / "files").absolute().as_uri()
    try:
        files = FileStore.open(url)
        async with asyncio.timeout(2 * _TIMEOUT), files.write("doctor/look") as file:
            await file.write(b"written and deleted by batchbus doctor")
        await files.delete("doctor/look")
    except (OSError, ValueError, TimeoutError) as error:
        return Check(
            "files",
            False,
            f"{url.partition('?')[0]} cannot be written to: {type(error).__name__}: {error}",
            "Check BATCHBUS_FILES_URL, and the permissions or credentials for it.",
        )
    return Check("files", True, url.partition("?")[0])


async def _private(settings: Settings) -> Check:
    """Whether others on this machine could read what only the service may."""
    from batchbus_service.storage.files import FileStore
    from batchbus_service.storage.private import looseness

    data = settings.data_dir
    found = [looseness(path) for path in (data, data / "jwt.secret", data / "client.env")]
    if settings.files_url and settings.files_url.startswith("file:"):
        folder = FileStore.folder_of(settings.files_url)
        found.append(looseness(folder, allowed=0o070))
    if reasons := [reason for reason in found if reason]:
        hint = "Take the permissions of others away: chmod 700 for a folder, 600 for a file."
        return Check("private", False, "; ".join(reasons), hint)
    return Check("private", True, "what the service keeps on this machine is its user's alone")


async def _strategies(settings: Settings) -> Check:
    from batchbus_strategies import Registry, RegistryError

    try:
        registry = Registry.load(settings.strategies_dir)  # and not a folder that one happens to stand in
    except RegistryError as error:
        return Check("strategies", False, "; ".join(error.errors), "Correct the files or packages that it names.")
    unknown = sorted(set(settings.worker_types or ()) - set(registry.strategies))
    if unknown and (settings.strategies_dir is not None or settings.strategies_folder is None):
        return Check(
            "strategies",
            False,
            f"BATCHBUS_WORKER_TYPES names types that nobody serves: {', '.join(unknown)}",
            f"There are: {', '.join(registry.strategies) or 'none'}",
        )
    message = ", ".join(registry.strategies) or "none"
    if settings.strategies_dir is None and settings.strategies_folder is not None:
        message += (
            f"; and those in {settings.strategies_folder}, which `batchbus up`, `serve` and `worker` load here. Name it in "
            "BATCHBUS_STRATEGIES_DIR to have them checked"
        )
    alone = [name for name, each in registry.strategies.items() if each.isolation or settings.isolation == "all"]
    if alone and not settings.embedded and settings.catalog_url is None:
        message += (
            f"; {', '.join(alone)} in processes of their own, which get BATCHBUS_MONGODB_URL, jobs and users included: "
            "BATCHBUS_CATALOG_URL gives them less"
        )
    return Check("strategies", True, message)


async def _service(settings: Settings) -> Check:
    import httpx

    from batchbus_service.cli.credentials import find_credentials

    try:
        credentials = find_credentials()
    except Refusal:
        return Check("service", True, "none runs here, as far as is known; `batchbus up` starts one")
    headers = {"x-medusa-access-token": credentials.token}
    try:
        async with httpx.AsyncClient(base_url=credentials.url, timeout=_TIMEOUT, trust_env=False) as http:
            ready = await http.get("/health/ready")
            known = await http.get("/admin/auth", headers=headers)
    except httpx.HTTPError as error:
        if credentials.origin == "BATCHBUS_TOKEN":
            return Check(
                "service",
                False,
                f"{credentials.url} does not answer: {type(error).__name__}",
                "Start the service, or correct BATCHBUS_URL.",
            )
        return Check("service", True, f"not running now; it was at {credentials.url}")
    if known.status_code == 401:
        hint = "Set BATCHBUS_TOKEN to a token that it gave out and that was not revoked."
        return Check("service", False, f"{credentials.url} does not accept {credentials.origin}", hint)
    checks = ready.json().get("checks", {}) if ready.status_code in (200, 503) else {}
    failures = [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
    if ready.status_code != 200 or failures:
        message = f"{credentials.url} is not well: {'; '.join(failures) or ready.status_code}"
        return Check("service", False, message, "Its log says more.")
    return Check("service", True, f"ready at {credentials.url}")

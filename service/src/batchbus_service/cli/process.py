"""One process of the service: from its settings to the signal that ends it, and everything in order in between."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchbus_service.cli.credentials import client_file, read_client_file, write_client_file
from batchbus_service.cli.output import out, say
from batchbus_service.cli.refusals import ExitCode, Refusal
from batchbus_service.cli.worker_processes import METRICS, READY, STOPPING
from batchbus_service.domain.errors import BadSettings
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.listen import listen, reachable
from batchbus_service.storage.mongo.embedded import EmbeddedMongo
from batchbus_service.storage.private import private_folder, try_to_write

if TYPE_CHECKING:
    from socket import socket

    from batchbus_service.access import User, Users

__all__ = ["Parts", "run"]

_LOCAL_ADMIN: Final = "admin@localhost"
_FIRST_DAYS: Final = 1
"""How long the token lasts that `--create-admin` prints."""
_LOCAL_DAYS: Final = 30
"""How long the token in `client.env` lasts; it is replaced when half of that is over."""
_RENEWED_DAYS: Final = 15
_RENEW_EVERY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process does."""

    work: bool
    """Take triggers and run jobs."""
    http: bool
    """Serve the HTTP API."""
    supervised: bool = False
    """End when the standard input does, which another process holds."""
    create_admin: str | None = None
    """The email address of an administrator to give a token to."""


async def run(settings: Settings, parts: Parts) -> None:
    """Until SIGINT or SIGTERM; a second SIGINT does not wait for anything."""
    ending = _Ending()
    ending.listen()
    if parts.supervised:
        ending.listen_to_input()
    try:
        await _run(settings, parts, ending)
    except asyncio.CancelledError:
        if not ending.requested:
            raise


async def _run(settings: Settings, parts: Parts, ending: _Ending) -> None:
    async with AsyncExitStack() as stack:
        mongo_url, sock = await _prepared(settings, parts, stack)
        from batchbus_service.app.api import make_api, make_probes
        from batchbus_service.app.bootstrap import open_service
        from batchbus_service.http.server.server import serving, serving_probes
        from batchbus_service.telemetry.background import Periodic

        service = await stack.enter_async_context(open_service(settings, work=parts.work, mongo_url=mongo_url))
        url = f"http://{reachable(settings.http_host)}:{sock.getsockname()[1]}" if sock else None
        if sock and url and parts.http:
            api = await stack.enter_async_context(serving(make_api(service), sock))
            await _print_addresses(settings, api.users, url, parts)
            if settings.embedded:
                path = client_file(settings.data_dir)
                renewing = partial(_renewed, api.users, path, url)
                name = "renewing the token in client.env"
                await stack.enter_async_context(
                    Periodic(service.background, name, renewing, every=_RENEW_EVERY, pause_first=True)
                )
        else:
            if sock:
                await stack.enter_async_context(serving_probes(make_probes(service), sock, settings))
            metrics = f"{METRICS}{url}/metrics" if url else ""
            out().print(f"{READY}{metrics}; Ctrl-C stops it", soft_wrap=True)
        sys.stdout.flush()
        await ending.wait()


async def _prepared(settings: Settings, parts: Parts, stack: AsyncExitStack) -> tuple[str | None, socket | None]:
    """The embedded database's address, and the port for HTTP: taken first, so that an address in use is reported at once.

    The database takes as long to start as the rest does to be imported, so the two go on side by side.
    """
    sock = None
    if settings.embedded:
        await asyncio.to_thread(_data_directory, settings.data_dir)
    if parts.http:
        sock = listen(settings.http_host, settings.http_port)
    elif settings.metrics_port is not None:
        sock = listen(settings.http_host, settings.metrics_port, setting="BATCHBUS_METRICS_PORT")
    importing = asyncio.to_thread(importlib.import_module, "batchbus_service.http.server.server")
    if not settings.embedded:
        await importing
        return None, sock
    starting = stack.enter_async_context(EmbeddedMongo.start(settings.data_dir))
    mongo_url, _ = await asyncio.gather(starting, importing)
    return mongo_url, sock


def _data_directory(folder: Path) -> None:
    """Have the folder, for us alone and with room to write. Raises `BadSettings`, with the variable that names it."""
    try:
        private_folder(folder)
        try_to_write(folder)
    except BadSettings as error:
        raise BadSettings(f"{error} (BATCHBUS_DATA_DIR)") from None


class _Ending:
    """Signals, turned into the end of the process."""

    def __init__(self) -> None:
        self.requested = False
        self._end = asyncio.Event()
        self._main = asyncio.current_task()
        self._started = False

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)

    def listen_to_input(self) -> None:
        """The process that has started this one says so by closing it, or by ending in any other way."""
        loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

        def readable() -> None:
            if not os.read(stdin, 1024):
                loop.remove_reader(stdin)
                self._end_now()

        loop.add_reader(stdin, readable)

    async def wait(self) -> None:
        self._started = True
        await self._end.wait()

    def _signalled(self, number: signal.Signals) -> None:
        if self.requested:
            if number == signal.SIGINT:
                # Nothing accepted is lost: leases expire, and the rescuer publishes what is left.
                os._exit(ExitCode.INTERRUPTED)
            return
        self._end_now()
        say(STOPPING)

    def _end_now(self) -> None:
        self.requested = True
        self._end.set()
        if self._main and not self._started:
            self._main.cancel()


async def _print_addresses(settings: Settings, users: Users, url: str, parts: Parts) -> None:
    console = out()
    if parts.create_admin is not None:
        console.print(await _created_admin(users, parts.create_admin))
    if not settings.embedded:
        console.print(f"batchbus is ready at {url}; Ctrl-C stops it")
        return
    path = client_file(settings.data_dir)
    await _renewed(users, path, url)
    console.print(
        f"batchbus is ready at {url}\n"
        f"  data   {settings.data_dir}, with an embedded database\n"
        f"  token  {path}, where the batchbus command finds it\n"
        "  try    batchbus types\n"
        "         batchbus submit product-import --file products.csv --dry-run --watch\n"
        "Ctrl-C stops it; every job is kept."
    )


async def _created_admin(users: Users, email: str) -> str:
    """What to tell about the administrator; a token the first time, so that a restart shows none."""
    user = await _admin(users, email)
    _, tokens = await users.tokens.page(user_id=user.id, offset=0, limit=1)
    if tokens:
        return f"{email} is there already; `batchbus tokens create --user {email}` makes another token"
    return (
        f"A token for {email}, shown this once:  {await _admin_token(users, user, days=_FIRST_DAYS)}\n"
        f"It ends in {_FIRST_DAYS} day: make the tokens that you need with `batchbus tokens create`"
    )


async def _admin(users: Users, email: str) -> User:
    from batchbus_service.access import Role
    from batchbus_service.domain.errors import UserExists

    try:
        user = await users.find(email) or await users.add(email, role=Role.ADMIN)
    except UserExists:  # added by another process that starts right now
        return await _admin(users, email)
    if user.role is not Role.ADMIN:
        raise Refusal(f"{email} is there already, as a {user.role}.", "Name another address for --create-admin.")
    return user


async def _admin_token(users: Users, user: User, *, days: int) -> str:
    ends = datetime.now(UTC) + timedelta(days=days)
    return (await users.tokens.create(user, user.role.scopes, expires_at=ends)).secret


async def _renewed(users: Users, path: Path, url: str) -> None:
    """Have a token in `client.env` that is good for a while yet: the one that is there, or a new one.

    The one before it ends by itself, so that a command that has just read it still works.
    """
    known = read_client_file(path)
    holder = await users.tokens.holder(known.token) if known else None
    user = await _admin(users, _LOCAL_ADMIN)
    ends = await users.tokens.ends(known.token) if known and holder else None
    fresh = ends is not None and ends - datetime.now(UTC) > timedelta(days=_RENEWED_DAYS)
    if known and holder and fresh and holder.scopes == user.role.scopes:
        write_client_file(path, url, known.token)
    else:
        write_client_file(path, url, await _admin_token(users, user, days=_LOCAL_DAYS))

"""Serving HTTP in an event loop that is shared with everything else, and ending when that says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.app import create_app
from batchbus_service.http.server.connections import DEFAULT_TIMEOUTS, HEAD_BYTES, HttpTimeouts, patient
from batchbus_service.http.server.probes import create_probe_app
from batchbus_service.http.server.shares import Crowd
from batchbus_service.http.server.state import Api, Probes

__all__ = ["serving", "serving_probes"]

_GRACE_SECONDS: Final = 5
"""How long requests may take to end when the server does."""


@asynccontextmanager
async def serving(api: Api, sock: socket.socket, *, crowd: Crowd | None = None) -> AsyncIterator[Api]:
    """Serve the API on a socket from `listen` until the context is left; then streams end first, requests next."""
    await api.users.prepare()
    await api.audit.prepare()
    await api.file_access.prepare()
    async with api.parked, _serving(create_app(api), sock, api.timeouts, api.service.settings, crowd):
        try:
            yield api
        finally:
            await api.feed.close()
            if api.provider is not None:
                await api.provider.close()


@asynccontextmanager
async def serving_probes(
    probes: Probes, sock: socket.socket, settings: Settings, *, timeouts: HttpTimeouts = DEFAULT_TIMEOUTS
) -> AsyncIterator[None]:
    """Serve health and metrics alone, for a process without the API."""
    async with _serving(create_probe_app(probes), sock, timeouts, settings):
        yield


@asynccontextmanager
async def _serving(
    app: FastAPI, sock: socket.socket, timeouts: HttpTimeouts, settings: Settings, crowd: Crowd | None = None
) -> AsyncIterator[None]:
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            http=patient(timeouts, crowd or Crowd(settings.trusted_proxies)),
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[sock]), name="HTTP server")
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals to the process, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

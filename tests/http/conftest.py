"""A running service with its HTTP API on a port of its own, and people who use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from httpx_sse import ServerSentEvent, aconnect_sse
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_service.access import Role, User, passwords
from batchbus_service.app.api import make_api
from batchbus_service.app.bootstrap import Service, Timeouts, open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.connections import DEFAULT_TIMEOUTS as PATIENT
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving
from batchbus_service.http.server.shares import Crowd
from batchbus_service.http.server.state import Api
from tests.patience import PATIENCE

__all__ = ["Person", "Site"]

BATCH_TYPES = Path(__file__).parent.parent / "batch_types"


@dataclass
class Person:
    """A user with a token, and a client that shows it."""

    user: User
    token: str
    http: httpx.AsyncClient

    async def create(self, type: str, context: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        response = await self.http.post("/admin/batch-jobs", json={"type": type, "context": context or {}, **more})
        assert response.status_code == 201, response.text
        job: dict[str, Any] = response.json()["batch_job"]
        return job

    async def upload(self, content: bytes, name: str = "rows.txt") -> str:
        response = await self.http.post("/admin/uploads/protected", files={"files": (name, content)})
        assert response.status_code == 200, response.text
        key: str = response.json()["uploads"][0]["key"]
        return key

    async def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = (await self.http.get(f"/admin/batch-jobs/{job_id}")).json()["batch_job"]
        return job

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """An open event stream, once the server has answered."""
        async with aconnect_sse(self.http, "GET", path, headers=headers) as source:
            assert source.response.status_code == 200, await source.response.aread()
            yield (event async for event in source.aiter_sse() if event.data)

    async def until(self, job_id: str, event: str, *, times: int = 1) -> list[ServerSentEvent]:
        """Follow the job until it has had that event so often, and return everything up to it."""
        async with asyncio.timeout(PATIENCE), self.stream(f"/admin/batch-jobs/{job_id}/events") as events:
            return [one for _ in range(times) for one in await read_until(events, event)]


async def read_until(events: AsyncIterator[ServerSentEvent], event: str) -> list[ServerSentEvent]:
    seen: list[ServerSentEvent] = []
    async with asyncio.timeout(PATIENCE):
        async for happened in events:
            seen.append(happened)
            if happened.event == event:
                return seen
    raise AssertionError(f"the stream ended before {event}")


@dataclass
class Site:
    """The server, and the way to get a person who may use it."""

    service: Service
    api: Api
    url: str
    stack: AsyncExitStack

    @cached_property
    def database(self) -> AsyncIOMotorDatabase[dict[str, Any]]:
        """What the service keeps, as another client of the same database sees it."""
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(self.service.settings.mongodb_url)
        self.stack.callback(client.close)
        return client[self.service.settings.mongodb_database]

    def strategy(self, batch_type: str) -> Any:
        return self.service.registry.get(batch_type)

    async def client(self, **headers: str) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE)
        return await self.stack.enter_async_context(client)

    async def person(
        self, name: str, role: Role = Role.MEMBER, *, password: str | None = None, scopes: set[Any] | None = None
    ) -> Person:
        user = await self.api.users.add(f"{name}@example.com", role=role, password=password)
        token = (await self.api.users.tokens.create(user, role.scopes if scopes is None else scopes)).secret
        return Person(user, token, await self.client(**{"x-medusa-access-token": token}))


_AT_THE_END: Final = Timeouts(cancel_grace=0.5, last_answers=0.5)
"""Jobs that wait for a test, and answers of a database that refuses everything, hold up no end of a test."""


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed in no time; how they really are is a test of its own."""
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: PasswordHasher.from_parameters(CHEAPEST))


@pytest.fixture
def settings(tmp_path: Path, mongo_url: str, database_name: str) -> Settings:
    return Settings(
        mongodb_url=mongo_url,
        mongodb_database=database_name[-38:],
        data_dir=tmp_path,
        strategies_dir=BATCH_TYPES,
        jwt_secret="a secret that only this test knows",
        progress_interval_seconds=0.01,
        max_upload_bytes=1_000_000,
    )


@pytest.fixture
async def open_site() -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def opened(settings: Settings, *, timeouts: HttpTimeouts = PATIENT, crowd: Crowd | None = None) -> Site:
            service = await stack.enter_async_context(open_service(settings, timeouts=_AT_THE_END))
            sock = listen("127.0.0.1", 0)
            api = await stack.enter_async_context(serving(make_api(service, timeouts=timeouts), sock, crowd=crowd))
            return Site(service, api, f"http://127.0.0.1:{sock.getsockname()[1]}", stack)

        yield opened


@pytest.fixture
async def site(settings: Settings, open_site: Callable[..., Any]) -> Site:
    opened: Site = await open_site(settings)
    return opened


@pytest.fixture
async def ann(site: Site) -> Person:
    """A member."""
    return await site.person("ann")


@pytest.fixture
async def bob(site: Site) -> Person:
    """Another member."""
    return await site.person("bob")


@pytest.fixture
async def olga(site: Site) -> Person:
    """An operator."""
    return await site.person("olga", Role.ADMIN)

"""One member at full tilt against a server of its own, and what the others see of it meanwhile.

The server, the load, and who asks for its health are processes of their own, so that none measures the pauses of another.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from tests.http.processes import ServerProcess
from tests.patience import PATIENCE

__all__ = ["FullTilt", "Measured"]

_UPLOADS: Final = 12
_STREAMS: Final = 60
_MAKERS: Final = 4
_HOSTILE: Final = 2
_ASK_HEALTH = """
import http.client, json, sys, time
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
ends, times = time.monotonic() + seconds, []
while time.monotonic() < ends:
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", "/health/live")
    assert connection.getresponse().status == 200
    connection.close()
    times.append(time.monotonic() - began)
    time.sleep(0.05)
print(json.dumps(times))
"""
"""A new connection each time, as what watches over a process makes one."""


@dataclass
class Measured:
    """What others have seen, in seconds."""

    idle: list[float] = field(default_factory=list)
    """Of the neighbour's jobs of 1,000 rows, one after the other, from their creation to their end by the server's clock."""
    busy: list[float] = field(default_factory=list)
    """The same while the member was at full tilt."""
    health: list[float] = field(default_factory=list)
    """Of answers of `/health/live` meanwhile."""
    answers: Counter[str] = field(default_factory=Counter)
    """What the member got, by what they did and the status."""

    @property
    def health_p99(self) -> float:
        return statistics.quantiles(self.health, n=100)[98]

    def __str__(self) -> str:
        took = [
            f"{name} {' '.join(f'{each:.2f}' for each in times)} s"
            for name, times in (("idle", self.idle), ("busy", self.busy))
        ]
        health = (
            f"health p99 {self.health_p99 * 1000:.0f} ms, most {max(self.health) * 1000:.0f} ms of {len(self.health)}"
        )
        return "\n".join([*took, health, str(dict(sorted(self.answers.items())))])


class FullTilt:
    """A server, a member who asks for all they can get, and a neighbour who wants one job done."""

    def __init__(self, server: ServerProcess, member: httpx.AsyncClient, neighbour: httpx.AsyncClient) -> None:
        self._server = server
        self._member = member
        self._neighbour = neighbour
        self.measured = Measured()
        self._files = 0

    @classmethod
    @asynccontextmanager
    async def on_a_server(cls, folder: Path) -> AsyncIterator[FullTilt]:
        environment = {"BATCHBUS_DATA_DIR": str(folder), "BATCHBUS_LOG_LEVEL": "error"}
        async with AsyncExitStack() as stack:
            start = ServerProcess.start("up", environment, folder / "server.log")
            server = await stack.enter_async_context(start)
            admin = await stack.enter_async_context(_client(server.url, server.token))
            people = []
            for name in ("member", "neighbour"):
                email = f"{name}@example.com"
                await _fine(admin.post("/admin/users", json={"email": email}))
                token = (await _fine(admin.post("/admin/tokens", json={"user": email})))["secret"]
                people.append(await stack.enter_async_context(_client(server.url, token)))
            yield cls(server, *people)

    async def run(self, *, seconds: float, idle: int) -> Measured:
        """`idle`: how many jobs of the neighbour's are measured before the member begins."""
        for _ in range(idle):
            self.measured.idle.append(await self._job_of_the_neighbour())
        load = [asyncio.create_task(each) for each in self._load()]
        try:
            self.measured.health, _ = await asyncio.gather(self._health(seconds), self._neighbours_jobs(seconds))
        finally:
            for task in load:
                task.cancel()
            ends = await asyncio.gather(*load, return_exceptions=True)
        broken = [end for end in ends if isinstance(end, Exception)]
        if broken:
            raise broken[0]
        return self.measured

    # -- the others ------------------------------------------------------------------------------------------------

    async def _job_of_the_neighbour(self) -> float:
        self._files += 1
        key = await self._uploaded(self._neighbour, _products(f"neighbour-{self._files}", 1000))
        body = {"type": "product-import", "context": {"fileKey": key}}
        made = (await _fine(self._neighbour.post("/admin/batch-jobs", json=body)))["batch_job"]
        async with (
            asyncio.timeout(PATIENCE),
            self._neighbour.stream("GET", f"/admin/batch-jobs/{made['id']}/events") as events,
        ):
            async for _ in events.aiter_lines():
                pass  # it ends with the job
        job = (await _fine(self._neighbour.get(f"/admin/batch-jobs/{made['id']}")))["batch_job"]
        assert job["status"] == "completed", job
        return (_time(job["completed_at"]) - _time(job["created_at"])).total_seconds()

    async def _neighbours_jobs(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends or not self.measured.busy:
            self.measured.busy.append(await self._job_of_the_neighbour())

    async def _health(self, seconds: float) -> list[float]:
        url = httpx.URL(self._server.url)
        asking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _ASK_HEALTH, url.host, str(url.port), str(seconds)), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asking.communicate()
        times: list[float] = json.loads(out)
        return times

    # -- the member ------------------------------------------------------------------------------------------------

    def _load(self) -> list[Any]:
        return [
            *(self._again_and_again(self._upload) for _ in range(_UPLOADS)),
            *(self._again_and_again(self._stream) for _ in range(_STREAMS)),
            *(self._again_and_again(self._make) for _ in range(_MAKERS)),
            *(self._again_and_again(self._hostile) for _ in range(_HOSTILE)),
        ]

    async def _again_and_again(self, do: Callable[[], Awaitable[int]]) -> None:
        while True:
            status = 0
            with suppress(httpx.HTTPError):  # the server lets go of connections that are too many
                status = await do()
            self.measured.answers[f"{do.__name__.strip('_')} {status}"] += 1
            if status in (0, 429):
                await asyncio.sleep(0.1)  # a client that is refused goes on asking, and is not refused for free

    async def _upload(self) -> int:
        answer = await self._member.post("/admin/uploads/protected", files={"files": ("a.csv", _NOISE)})
        for upload in answer.json().get("uploads", []):
            await self._member.request("DELETE", "/admin/uploads", json={"file_key": upload["key"]})
        return answer.status_code

    async def _stream(self) -> int:
        made = await self._member.get("/admin/batch-jobs", params={"limit": 1})
        jobs = made.json().get("batch_jobs", [])
        if not jobs:
            return 429
        async with self._member.stream("GET", f"/admin/batch-jobs/{jobs[0]['id']}/events") as events:
            async for _ in events.aiter_lines():
                pass
            return events.status_code

    async def _make(self) -> int:
        self._files += 1
        return await self._created(await self._uploaded(self._member, _products(f"member-{self._files}", 200)))

    async def _hostile(self) -> int:
        self._files += 1
        content, context = _HOSTILE_FILES[self._files % len(_HOSTILE_FILES)]
        return await self._created(await self._uploaded(self._member, content), **context)

    async def _created(self, key: str | None, **context: str) -> int:
        if key is None:
            return 429
        body = {"type": "product-import", "context": {"fileKey": key, **context}}
        return (await self._member.post("/admin/batch-jobs", json=body)).status_code

    async def _uploaded(self, client: httpx.AsyncClient, content: bytes) -> str | None:
        answer = await client.post("/admin/uploads/protected", files={"files": ("a.csv", content)})
        uploads = answer.json().get("uploads")
        return str(uploads[0]["key"]) if uploads else None


_NOISE: Final = os.urandom(2**20)
_HOSTILE_FILES: Final[tuple[tuple[bytes, dict[str, str]], ...]] = (
    (b" " * 14_000, {}),
    (b"x", {"encoding": "bz2"}),
    (",".join(f"c{number}" for number in range(100_000)).encode() + b"\n1\n", {}),
    (gzip.compress(b"a" * 50_000_000), {}),
    (b'Product Handle,Product Title\n"' + b"a" * 900_000, {}),
    (b"[" * 100_000, {}),
    (b"PK\x03\x04" + b"\0" * 100_000, {}),
    (b"Product Handle,Product Title\n" + b"a,b\n" * 20_000, {}),
)


def _products(name: str, rows: int) -> bytes:
    """A file of so many new products."""
    header = "Product Handle,Product Title,Variant Title,Variant SKU,Option 1 Name,Option 1 Value,Price USD"
    lines = (f"{name}-{row},Bowl {row},Small,{name}-{row},Size,S,{row % 90}.50" for row in range(rows))
    return "\n".join([header, *lines, ""]).encode()


@asynccontextmanager
async def _client(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    headers = {"x-medusa-access-token": token}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE, limits=limits) as client:
        yield client


async def _fine(answer: Awaitable[httpx.Response]) -> Any:
    response = await answer
    assert response.status_code < 300, response.text
    return response.json()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

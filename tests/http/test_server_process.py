"""A server as a process of its own: what a large upload costs it, and what is left when it is killed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.http.conftest import BATCH_TYPES
from tests.http.processes import ServerProcess
from tests.patience import PATIENCE

GIB = 1024**3
MIB = 1024**2
HEAD = b'--B\r\ncontent-disposition: form-data; name="files"; filename="large.csv"\r\n\r\n'
TAIL = b"\r\n--B--\r\n"


@pytest.fixture
def environment(tmp_path: Path, mongo_url: str, database_name: str) -> dict[str, str]:
    return {
        "BATCHBUS_MONGODB_URL": mongo_url,
        "BATCHBUS_MONGODB_DATABASE": database_name[-38:],
        "BATCHBUS_DATA_DIR": str(tmp_path),
        "BATCHBUS_STRATEGIES_DIR": str(BATCH_TYPES),
        "BATCHBUS_JWT_SECRET": "a secret that only this test knows",
    }


@pytest.fixture
async def server(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[ServerProcess]:
    async with ServerProcess.start("up", environment, tmp_path / "server.log") as server:
        yield server


class _Upload:
    """One upload, piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, server: ServerProcess, size: int) -> _Upload:
        url = urlsplit(server.url)
        upload = cls(*await asyncio.open_connection(url.hostname, url.port))
        head = (
            "POST /admin/uploads/protected HTTP/1.1",
            "host: test",
            f"x-medusa-access-token: {server.token}",
            "content-type: multipart/form-data; boundary=B",
            f"content-length: {len(HEAD) + size + len(TAIL)}",
        )
        await upload.send("\r\n".join(head).encode() + b"\r\n\r\n" + HEAD)
        return upload

    async def send(self, piece: bytes, times: int = 1) -> None:
        for _ in range(times):
            self._writer.write(piece)
            await self._writer.drain()

    async def answer(self) -> str:
        """The first line of the answer."""
        line = (await self._reader.readline()).decode().strip()
        self._writer.close()
        return line

    def break_off(self) -> None:
        self._writer.transport.abort()


def _kept(folder: Path) -> list[Path]:
    return [path for path in (folder / "files").rglob("*") if path.is_file()]


async def test_an_upload_of_a_gibibyte_takes_hardly_any_memory(server: ServerProcess, tmp_path: Path) -> None:
    before = server.peak_memory()
    async with asyncio.timeout(PATIENCE):
        upload = await _Upload.begin(server, GIB)
        await upload.send(bytes(MIB), GIB // MIB)
        await upload.send(TAIL)
        assert (await upload.answer()).startswith("HTTP/1.1 200 ")
    assert server.peak_memory() - before < 32 * MIB
    [kept] = _kept(tmp_path)
    assert kept.stat().st_size == GIB
    kept.unlink()


async def test_what_a_killed_server_had_of_an_upload_is_swept_away(
    server: ServerProcess, tmp_path: Path, environment: dict[str, str]
) -> None:
    upload = await _Upload.begin(server, 64 * MIB)
    await upload.send(bytes(MIB), 32)
    async with asyncio.timeout(PATIENCE):
        while True:
            if unfinished := _kept(tmp_path):
                break
            await asyncio.sleep(0.01)  # files of another process: looked for again
    await server.kill()
    upload.break_off()
    long_ago = time.time() - 25 * 3600
    for path in unfinished:
        os.utime(path, (long_ago, long_ago))
    async with asyncio.timeout(PATIENCE), ServerProcess.start("up", environment, tmp_path / "again.log"):
        while True:
            if not _kept(tmp_path):
                break
            await asyncio.sleep(0.01)  # files of another process: looked for again

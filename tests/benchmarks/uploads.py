"""An upload of one GiB through the HTTP API, beside a plain copy through a socket into a file, on the same disk."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks.ground import Ground
from tests.http.processes import ServerProcess

__all__ = ["run"]

MIB: Final = 1024**2
SIZE: Final = 1024 * MIB
ROUNDS: Final = 3
_PIECE: Final = bytes(range(256)) * (MIB // 256)
_HEAD: Final = b'--B\r\ncontent-disposition: form-data; name="files"; filename="large.bin"\r\n\r\n'
_TAIL: Final = b"\r\n--B--\r\n"


async def run(ground: Ground) -> None:
    print(f"\nAn upload of {SIZE // MIB:,} MiB ({ROUNDS} rounds, medians)")
    async with ground.installation() as installation:
        environment = installation.environment(jwt_secret="of this run alone", log_level="warning")
        del environment["BATCHBUS_AMQP_URL"]
        folder = installation.folder
        async with (
            ServerProcess.start("up", environment, folder / "server.log") as server,
            _copying(folder / "copied") as copy,
        ):
            before = server.peak_memory()
            copies, uploads = [], []
            for _ in range(ROUNDS):
                copies.append(await _speed(copy))
                uploads.append(await _speed(lambda: _upload(server)))
                for path in (folder / "files").iterdir():
                    path.unlink()
            peak = server.peak_memory()
    plain, uploaded = statistics.median(copies), statistics.median(uploads)
    print(f"  plain copy    {plain:6.0f} MiB/s")
    print(f"  upload        {uploaded:6.0f} MiB/s")
    print(f"  ratio         {uploaded / plain:6.0%} of the copy's speed")
    print(
        f"  peak memory   {peak / 1e6:6.1f} MB, {(peak - before) / 1e6:.1f} MB more than before (aim: 100 MB or less)"
    )


async def _speed(send: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await send()
    return SIZE / MIB / (time.perf_counter() - started)


async def _upload(server: ServerProcess) -> None:
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = (
        "POST /admin/uploads/protected HTTP/1.1",
        "host: benchmark",
        f"x-medusa-access-token: {server.token}",
        "content-type: multipart/form-data; boundary=B",
        f"content-length: {len(_HEAD) + SIZE + len(_TAIL)}",
    )
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + _HEAD)
    await _pieces(writer)
    writer.write(_TAIL)
    answer = await reader.readline()
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    writer.close()


@asynccontextmanager
async def _copying(path: Path) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A server that writes what it gets into a file, and the call that sends it."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with path.open("wb") as file:
            while piece := await reader.read(256 * 1024):
                await asyncio.to_thread(file.write, piece)
        writer.write(b"done")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=512 * 1024)

    async def send() -> None:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await _pieces(writer)
        writer.write_eof()
        assert await reader.read() == b"done"
        writer.close()
        path.unlink()

    async with server:
        yield send


async def _pieces(writer: asyncio.StreamWriter) -> None:
    for _ in range(SIZE // MIB):
        writer.write(_PIECE)
        await writer.drain()

"""Many readers of one stream, slow ones among them, and readers that go: what they get, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_ulid
from batchbus_service.access import Role
from batchbus_service.app.api import make_api
from batchbus_service.app.bootstrap import open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving
from tests.http.conftest import Person, Site
from tests.http.raw_readers import RawReader
from tests.patience import PATIENCE

LIFE = ["batch.created", "batch.pre_processed", "batch.confirmed", "batch.processing", "batch.completed"]
READERS = 200
LARGE = 30
"""Events of half a megabyte: more than two systems buffer for a connection."""


async def _readers(site: Site, count: int) -> None:
    """Until the server knows of so many."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if site.api.feed.readers == count:
                return
            await asyncio.sleep(0.01)  # the server notices connections by itself, and tells nobody: asked again


async def _a_quick_reader_and_one_that_takes_nothing(
    site: Site, *, receive_buffer: int = 1024
) -> tuple[RawReader, RawReader]:
    """Both follow the progress of all jobs, of which there is more than the slow one can have been sent."""
    olga = await site.person("olga", Role.ADMIN)
    quick, never = (RawReader(olga, "/admin/events?pattern=batch.progress.%23") for _ in range(2))
    await never.connect(receive_buffer=receive_buffer)
    await quick.connect()
    quick.start()
    async with asyncio.timeout(PATIENCE):
        await _readers(site, 2)
        for n in range(LARGE):
            event = Event(
                type="batch.progress", source="/batchbus", id=new_ulid(), data={"n": n, "message": "x" * 500_000}
            )
            message = Message(body=encode(event), routing_key="batch.progress.rows.a", message_id=event.id)
            await site.service.bus.publish(topics.EVENTS, message)
            await quick.until(lambda text: text.count(b"event: batch.progress") > n)  # noqa: B023  called before n moves on
    return quick, never


async def test_two_hundred_readers_of_a_job_get_all_of_it_even_if_they_were_cut_off(ann: Person, site: Site) -> None:
    gated = site.strategy("gated")
    gated.steps = 10_000
    job = await ann.create("gated")
    path = f"/admin/batch-jobs/{job['id']}/events"
    site.api.shares.streams.most = READERS + 1
    readers = [RawReader(ann, path) for _ in range(READERS)]
    never = RawReader(ann, path)
    async with asyncio.timeout(PATIENCE):
        await never.connect(receive_buffer=1024)
        for reader in readers:
            await reader.connect()
            reader.start()
        gated.go(5_000)
        for reader in readers:
            await reader.until(lambda text: b"event: batch.progress" in text)
        for reader in readers[::4]:
            await reader.reset()
            await reader.connect()
            reader.start()
        gated.go(5_000)
        for reader in readers:
            await reader.ended()
    everything = list(enumerate(LIFE, start=1))
    assert [reader.stored for reader in readers] == [everything] * READERS
    await never.reset()
    await _readers(site, 0)


async def test_a_reader_that_takes_nothing_is_broken_off_and_holds_up_nobody(
    settings: Settings, open_site: Callable[..., Any]
) -> None:
    site: Site = await open_site(settings, timeouts=HttpTimeouts(stalled=1.0))
    quick, never = await _a_quick_reader_and_one_that_takes_nothing(site)
    await _readers(site, 1)
    await quick.reset()
    await _readers(site, 0)
    await never.reset()


async def test_a_slow_reader_is_told_what_was_left_out_and_gets_the_latest(site: Site) -> None:
    quick, slow = await _a_quick_reader_and_one_that_takes_nothing(site, receive_buffer=100_000)
    slow.start()
    async with asyncio.timeout(PATIENCE):
        await slow.until(lambda text: f'"n":{LARGE - 1}'.encode() in text)
    assert slow.text.count(b"event: batch.progress") < LARGE
    assert b" progress events left out\n" in slow.text
    for reader in (quick, slow):
        await reader.reset()


async def test_a_server_that_ends_waits_for_no_reader_that_takes_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_service(settings) as service:
        sock = listen("127.0.0.1", 0)
        async with AsyncExitStack() as clients, serving(make_api(service), sock) as api:
            site = Site(service, api, f"http://127.0.0.1:{sock.getsockname()[1]}", clients)
            quick, never = await _a_quick_reader_and_one_that_takes_nothing(site)
    await quick.ended()
    await never.reset()
    assert [record.message for record in caplog.records if "graceful" in record.message] == []


async def test_readers_that_go_leave_nothing_behind(ann: Person, olga: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=True)
    readers = [RawReader(ann, f"/admin/batch-jobs/{job['id']}/events"), RawReader(olga, "/admin/events?pattern=%23")]
    for reader in readers:
        await reader.connect()
        reader.start()
    await _readers(site, len(readers))
    for reader in readers:
        await reader.reset()
    await _readers(site, 0)
    assert site.api.feed.readers == 0


async def test_a_quiet_stream_gives_a_sign_of_life(settings: Settings, open_site: Callable[..., Any]) -> None:
    site: Site = await open_site(settings, timeouts=HttpTimeouts(quiet=0.01))
    olga = await site.person("olga", role=Role.ADMIN)
    async with asyncio.timeout(PATIENCE), olga.http.stream("GET", "/admin/events") as answer:
        signs = (line async for line in answer.aiter_lines() if line == ": still here")
        assert [await anext(signs), await anext(signs)] == [": still here"] * 2

"""Clients that send too slowly or too much: what they are told, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.settings import Settings
from batchbus_service.http.medusa.bodies import CreateRequest
from batchbus_service.http.medusa.creating import create_job
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.listen import listen
from tests.http.conftest import Person, Site
from tests.http.wire import connected

LONG = 3600.0
"""Seconds: what is not tested never runs out."""
SOON = 0.05


@pytest.fixture
def hurried(settings: Settings, open_site: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a site that has no patience with one thing."""

    async def opened(**less: float) -> Site:
        rest = {"head": LONG, "body": LONG, "bytes_per_second": 1e9, "parting": LONG}
        site: Site = await open_site(settings, timeouts=HttpTimeouts(**rest | less))
        return site

    return opened


def _says(answer: str, status: int, message: str) -> bool:
    """Whether it is that error, in the form of every error of the API."""
    head, _, body = answer.partition("\r\n\r\n")
    return head.startswith(f"HTTP/1.1 {status} ") and json.loads(body) == {"type": "invalid_data", "message": message}


async def test_a_head_that_does_not_end_is_refused(hurried: Callable[..., Any]) -> None:
    site = await hurried(head=SOON)
    async with connected(site) as wire:
        await wire.send("GET /health HTTP/1.1", "host: x", "x-slow: y", end=False)
        assert _says(await wire.answer(), 408, "The request came too slowly.")


async def test_bytes_now_and_then_buy_a_head_no_time(hurried: Callable[..., Any]) -> None:
    site = await hurried(head=SOON)
    async with connected(site) as wire:

        async def dribble() -> None:
            while True:
                await wire.send("x", end=False)
                await asyncio.sleep(SOON / 10)  # now and then: the pace is what is tested

        dribbling = asyncio.create_task(dribble())
        assert _says(await wire.answer(), 408, "The request came too slowly.")
        dribbling.cancel()


async def test_a_connection_that_asks_nothing_is_closed(hurried: Callable[..., Any]) -> None:
    site = await hurried(head=SOON)
    async with connected(site) as wire:
        assert await wire.answer() == ""


async def test_the_second_request_of_a_connection_has_as_little_time_as_the_first(hurried: Callable[..., Any]) -> None:
    site = await hurried(head=2.0)
    async with connected(site) as wire:
        await wire.send("GET /health HTTP/1.1", "host: x", "", end=False)
        await wire.send("", "GET /health HTTP/1.1", "host: x", end=False)
        answer = await wire.answer()
        assert answer.startswith("HTTP/1.1 200 ") and "HTTP/1.1 408 " in answer


def test_the_end_of_an_answer_does_not_wait_until_its_beginning_is_acknowledged() -> None:
    """Nagle's algorithm would have it wait 40 ms. asyncio turns it off for sockets that say that they are TCP's."""
    with listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP


async def test_a_header_of_two_megabytes_is_refused(site: Site) -> None:
    async with connected(site) as wire:
        await wire.send("GET /health HTTP/1.1", "host: x", f"x-large: {'y' * 2 * 1024 * 1024}")
        assert _says(await wire.answer(), 431, "Invalid HTTP request received.")


async def test_what_is_no_request_is_refused_in_the_form_of_every_error(site: Site) -> None:
    async with connected(site) as wire:
        await wire.send("HELO example.com", "\0")
        assert _says(await wire.answer(), 400, "Invalid HTTP request received.")


def _posted(person: Person, path: str, content_type: str, length: int = 1000) -> tuple[str, ...]:
    return (
        f"POST {path} HTTP/1.1",
        "host: x",
        f"x-medusa-access-token: {person.token}",
        f"content-type: {content_type}",
        f"content-length: {length}",
    )


async def test_a_body_that_stops_coming_is_refused(hurried: Callable[..., Any]) -> None:
    site = await hurried(body=SOON, parting=SOON)
    ann = await site.person("ann")
    async with connected(site) as wire:
        await wire.send(*_posted(ann, "/admin/batch-jobs", "application/json"), body=b'{"type": ')
        assert _says(await wire.answer(), 408, "The body came too slowly")


async def test_an_upload_that_stops_coming_is_refused_and_leaves_nothing(hurried: Callable[..., Any]) -> None:
    site = await hurried(body=SOON, parting=SOON)
    ann = await site.person("ann")
    start = b'--B\r\ncontent-disposition: form-data; name="files"; filename="half.csv"\r\n\r\nsome;columns\r\n'
    async with connected(site) as wire:
        form = "multipart/form-data; boundary=B"
        await wire.send(*_posted(ann, "/admin/uploads/protected", form, 10_000), body=start)
        assert _says(await wire.answer(), 408, "The body came too slowly")
    folder = site.service.settings.data_dir / "files"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_bytes_now_and_then_are_too_slow_for_a_body(hurried: Callable[..., Any]) -> None:
    site = await hurried(body=0.5, bytes_per_second=1e6)
    ann = await site.person("ann")
    async with connected(site) as wire:
        await wire.send(*_posted(ann, "/admin/batch-jobs", "application/json", 10_000))

        async def dribble() -> None:
            while True:
                await wire.send(" ", end=False)
                await asyncio.sleep(0.01)  # now and then: the pace is what is tested

        dribbling = asyncio.create_task(dribble())
        assert (await wire.head()).startswith("HTTP/1.1 408 ")
        dribbling.cancel()


async def test_a_body_that_nobody_reads_keeps_no_connection(hurried: Callable[..., Any]) -> None:
    site = await hurried(parting=SOON)
    async with connected(site) as wire:
        await wire.send("POST /admin/batch-jobs HTTP/1.1", "host: x", "content-length: 1000000000", body=b"{")
        answer = await wire.answer()
        assert answer.startswith("HTTP/1.1 401 ")


async def test_slow_clients_do_not_slow_others(hurried: Callable[..., Any]) -> None:
    site = await hurried()
    ann = await site.person("ann")
    async with connected(site) as one, connected(site) as other:
        await one.send("GET /health HTTP/1.1", "host: x", end=False)
        await other.send(*_posted(ann, "/admin/batch-jobs", "application/json"), body=b"{")
        assert (await ann.http.get("/admin/batch-jobs")).status_code == 200


async def test_a_stream_of_events_outlasts_the_patience_with_bodies(hurried: Callable[..., Any]) -> None:
    site = await hurried(body=SOON)
    ann = await site.person("ann")
    asked = CreateRequest("slow", {"steps": 30}, dry_run=False)
    job = await create_job(site.service.commands, asked, user_id=ann.user.id, idempotency_key=None, cause=Cause())
    events = await ann.until(job.id, "batch.completed")
    assert events[-1].event == "batch.completed"

"""What a process says of itself while what it needs is away; and HEAD, for whoever only looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from batchbus_service.domain.settings import Settings
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE
from tests.rabbitmq_node import RabbitNode


async def ready_once(http: httpx.AsyncClient, status: int) -> dict[str, Any]:
    """The answer of `/health/ready`, as soon as it has this status: nothing tells when a connection is found broken."""
    async with asyncio.timeout(60):
        while True:
            answer = await http.get("/health/ready")
            if answer.status_code == status:
                found: dict[str, Any] = answer.json()
                return found
            await asyncio.sleep(0.05)  # asked again


async def test_a_process_is_not_ready_while_its_broker_is_away_and_names_it(
    settings: Settings, open_site: Callable[..., Any], rabbit_node: RabbitNode
) -> None:
    site: Site = await open_site(settings.model_copy(update={"amqp_url": rabbit_node.fresh_vhost()}))
    stranger = await site.client()
    assert (await ready_once(stranger, 200))["status"] == "ready"
    await asyncio.to_thread(rabbit_node.stop)
    away = await ready_once(stranger, 503)
    assert away["status"] == "not ready"
    assert (away["checks"]["broker"], away["checks"]["database"]) == ("cannot be reached", "ok")
    assert (await stranger.get("/health/live")).status_code == 200
    await asyncio.to_thread(rabbit_node.start)
    assert (await ready_once(stranger, 200))["checks"]["broker"] == "ok"


@pytest.mark.embedded
async def test_a_process_is_not_ready_while_its_database_is_frozen_and_asks_it_once(
    site: Site, database_server: psutil.Process
) -> None:
    stranger = await site.client()
    database_server.suspend()
    try:
        answers = await asyncio.gather(*(stranger.get("/health/ready") for _ in range(20)))
        assert (await stranger.get("/health/live")).status_code == 200
        pings = [task for task in asyncio.all_tasks() if task.get_name() == "ping the database"]
    finally:
        database_server.resume()
    assert len(pings) == 1
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "no answer within 2 seconds"
        assert answer.json()["checks"]["broker"] == "ok"
    assert (await ready_once(stranger, 200))["checks"]["database"] == "ok"


async def test_head_tells_the_headers_of_get_and_nothing_else(ann: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    for path in ("/admin/batch-jobs", f"/admin/batch-jobs/{job['id']}", "/health/ready", "/admin/batch-jobs/batch_no"):
        got, looked = await ann.http.get(path), await ann.http.head(path)
        assert looked.status_code == got.status_code, path
        assert looked.content == b""
        for name in ("content-type", "content-length", "etag"):
            assert looked.headers.get(name) == got.headers.get(name), (path, name)
    stranger = await site.client()
    assert (await stranger.head("/admin/batch-jobs")).status_code == 401
    assert (await stranger.head("/nowhere")).status_code == 404


async def test_head_of_a_stream_ends_and_leaves_no_reader(ann: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=True)
    for path in (f"/admin/batch-jobs/{job['id']}/events", f"/admin/batch-jobs/{job['id']}/errors"):
        async with asyncio.timeout(PATIENCE):
            looked = await ann.http.head(path)
        assert looked.status_code == 200
        assert looked.headers["content-type"].startswith(("text/event-stream", "text/csv"))
    assert site.api.feed.readers == 0


async def test_head_of_what_the_client_has_is_not_modified(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    path = f"/admin/batch-jobs/{job['id']}"
    tag = (await ann.http.get(path)).headers["etag"]
    for method in ("GET", "HEAD"):
        again = await ann.http.request(method, path, headers={"if-none-match": tag})
        assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b""), method

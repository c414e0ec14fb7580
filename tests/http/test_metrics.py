"""What Prometheus reads: numbers of the engine and of the API, with labels that nobody outside can multiply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.app.api import make_probes
from batchbus_service.app.bootstrap import open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving_probes
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

PAGE = Path(__file__).parents[2] / "docs" / "production.md"


class Metrics:
    """What one scrape has found."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = {}
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            self.types[family.name] = family.type
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels, among others."""
        samples = self._samples.get(f"batchbus_{name}", [])
        return sum(value for named, value in samples if labels.items() <= named.items())

    def labels(self, name: str, label: str) -> set[str]:
        return {named[label] for named, _ in self._samples.get(f"batchbus_{name}", [])}


async def scrape(http: httpx.AsyncClient) -> Metrics:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Metrics(answer.text)


async def scraped_until(http: httpx.AsyncClient, reached: Callable[[Metrics], bool]) -> Metrics:
    """What is counted after an event is out is not told by it: it is asked for again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if reached(metrics := await scrape(http)):
                return metrics
            await asyncio.sleep(0.02)  # asked again


async def test_a_job_is_counted_from_its_creation_to_its_end(site: Site, ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"fine\nbad\nfine\n")})
    await ann.until(job["id"], "batch.completed")
    metrics = await scraped_until(ann.http, lambda m: m.value("runs_total", outcome="done") == 2)
    for status in ("created", "pre_processed", "confirmed", "processing", "completed"):
        assert metrics.value("jobs_total", type="rows", status=status) == 1, status
    for phase in ("pre_process", "process"):
        assert metrics.value("runs_total", type="rows", phase=phase, outcome="done") == 1
        assert metrics.value("run_seconds_count", type="rows", phase=phase) == 1
        assert metrics.value("job_wait_seconds_count", type="rows", phase=phase) == 1
    assert metrics.value("records_total", type="rows", phase="process") == 3
    assert metrics.value("row_errors_total", type="rows", phase="process") == 1
    assert metrics.value("store_seconds_count", operation="insert") >= 1
    assert metrics.value("store_errors_total") == 0


async def test_runs_that_are_retried_and_jobs_that_fail_are_counted(ann: Person) -> None:
    job = await ann.create("careless", {"chunks": 1, "fail_at": [0], "hopeless": True})
    await ann.until(job["id"], "batch.failed")
    metrics = await scraped_until(ann.http, lambda m: m.value("runs_total", outcome="failed") == 1)
    assert metrics.value("jobs_total", type="careless", status="failed") == 1
    assert metrics.value("runs_total", type="careless", phase="process", outcome="retried") == 1
    assert metrics.value("retries_total", type="careless", by="engine") == 1
    await ann.http.post(f"/admin/batch-jobs/{job['id']}/retry")
    assert (await scrape(ann.http)).value("retries_total", type="careless", by="operator") == 1


async def test_slots_streams_and_the_bus_are_shown_as_they_are(site: Site, ann: Person) -> None:
    gated = site.strategy("gated")
    before = await scrape(ann.http)
    assert before.value("slots", phase="process") == 4
    assert before.value("slots", phase="pre_process") == 2
    assert before.value("slots_used") == 0
    assert before.value("bus_connected") == 1
    job = await ann.create("gated")
    await asyncio.to_thread(gated.started.wait, PATIENCE)
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events") as events:
        await anext(events)
        during = await scrape(ann.http)
        assert during.value("slots_used", phase="process") == 1
        assert during.value("event_streams") == 1
    gated.go(3)
    await ann.until(job["id"], "batch.completed")
    await scraped_until(ann.http, lambda m: m.value("slots_used") == m.value("event_streams") == 0)


async def test_a_canceled_run_is_counted_as_one(site: Site, ann: Person) -> None:
    gated = site.strategy("gated")
    job = await ann.create("gated")
    await asyncio.to_thread(gated.started.wait, PATIENCE)
    await ann.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
    await ann.until(job["id"], "batch.updated")
    metrics = await scraped_until(ann.http, lambda m: m.value("runs_total", outcome="canceled") == 1)
    assert metrics.value("jobs_total", type="gated", status="canceled") == 1


async def test_what_comes_over_the_bus_and_cannot_be_used_is_counted(site: Site, ann: Person) -> None:
    bus = site.service.bus
    await bus.publish(topics.TRIGGERS, Message(body=b"no event", routing_key="batch.created"))
    unknown = Event(
        type="batch.created", source="/shop", id=new_ulid(), subject=new_job_id(), data={"type": "no-such-type"}
    )
    await bus.publish(topics.TRIGGERS, Message(body=encode(unknown), routing_key="batch.created"))
    other = Event(type="batch.created", source="/shop", id=new_ulid(), subject=unknown.subject, data={"type": "gated"})
    await bus.publish(topics.TRIGGERS, Message(body=encode(other), routing_key="batch.created"))
    metrics = await scraped_until(ann.http, lambda m: m.value("triggers_rejected_total") == 1)
    assert metrics.value("triggers_rejected_total", reason="conflict") == 1
    assert metrics.value("messages_parked_total") == 1
    assert metrics.value("jobs_total", type="other", status="created") == 1
    assert "no-such-type" not in metrics.labels("jobs_total", "type")


async def test_requests_are_counted_by_the_template_of_their_path(site: Site, ann: Person) -> None:
    for job_id in ("batch_unknown", "batch_other"):
        await ann.http.get(f"/admin/batch-jobs/{job_id}")
    stranger = await site.client()
    await stranger.get("/admin/batch-jobs")
    for path in ("/nowhere", "/admin/nowhere/at/all"):
        assert (await stranger.get(path)).status_code in (401, 404)
    await stranger.request("BREW", "/health/live")
    metrics = await scrape(ann.http)
    of = "/admin/batch-jobs/{id}"
    assert metrics.value("http_requests_total", method="GET", route=of, status="404") == 2
    assert metrics.value("http_request_seconds_count", method="GET", route=of) == 2
    assert metrics.value("http_requests_total", route="/admin/batch-jobs", status="401") == 1
    assert metrics.value("http_requests_total", route="none", status="404") == 1
    assert metrics.labels("http_requests_total", "route") <= {
        *(of, "/admin/batch-jobs", "/admin/{path:path}", "/health/live", "none")
    }
    assert metrics.labels("http_requests_total", "method") == {"GET", "other"}


async def test_logins_that_are_refused_are_counted(site: Site) -> None:
    stranger = await site.client()
    for _ in range(2):
        await stranger.post("/admin/auth", json={"email": "nobody@example.com", "password": "wrong password"})
    assert (await scrape(stranger)).value("login_failures_total", reason="credentials") == 2


async def test_whoever_asks_for_openmetrics_gets_it(site: Site) -> None:
    stranger = await site.client()
    answer = await stranger.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


async def test_every_metric_is_in_the_documentation_with_its_type(site: Site) -> None:
    found = (await scrape(await site.client())).types
    ours = {
        name: kind for name, kind in found.items() if name.startswith("batchbus_") and not name.endswith("_created")
    }
    told: dict[str, str] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `batchbus_"):
            name, kind = (cell.strip() for cell in line.split("|")[1:3])
            told[name.strip("`").partition("{")[0]] = kind
    suffix = {"counter": "_total"}
    assert told == {name + suffix.get(kind, ""): kind for name, kind in ours.items()}


async def test_two_services_in_one_process_do_not_mix(
    settings: Settings, open_site: Any, tmp_path: Path, site: Site, ann: Person
) -> None:
    other: Site = await open_site(
        settings.model_copy(
            update={"mongodb_database": f"{settings.mongodb_database[:36]}_2", "data_dir": tmp_path / "2"}
        )
    )
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    assert (await scrape(ann.http)).value("jobs_total", status="created") == 1
    assert (await scrape(await other.client())).value("jobs_total") == 0


async def test_a_worker_serves_health_and_metrics_and_nothing_else(settings: Settings) -> None:
    async with open_service(settings) as service:
        sock = listen("127.0.0.1", 0)
        async with (
            serving_probes(make_probes(service), sock, settings),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=PATIENCE) as http,
        ):
            assert (await http.get("/health/ready")).json()["status"] == "ready"
            assert (await scrape(http)).value("slots", phase="process") == 4
            assert (await http.get("/admin/batch-jobs")).status_code == 401
            nothing = await http.get("/openapi.json")
            assert (nothing.status_code, nothing.json()["type"]) == (404, "not_found")


async def test_how_long_events_and_triggers_wait_and_how_full_the_queues_are(site: Site, olga: Person) -> None:
    job_id = new_job_id()
    trigger = Event(
        type="batch.created",
        source="/shop",
        id=new_ulid(),
        subject=job_id,
        data={"type": "slow", "context": {"steps": 1}},
        time=site.service.transitions.clock.now(),
    )
    await site.service.bus.publish(topics.TRIGGERS, Message(body=encode(trigger), routing_key=trigger.type))
    await olga.until(job_id, "batch.completed")

    def all_told(metrics: Metrics) -> bool:
        return (
            metrics.value("publish_lag_seconds_count") >= 5
            and metrics.value("queue_consumers", queue="batchbus.triggers") == 1
            and metrics.value("parked_messages") == 0
        )

    metrics = await scraped_until(olga.http, all_told)

    assert metrics.value("trigger_lag_seconds_count", event="batch.created") == 1
    assert metrics.value("queue_messages", queue="batchbus.triggers") == 0
    assert metrics.value("oldest_trigger_seconds") == 0

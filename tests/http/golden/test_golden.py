"""What Medusa 1.20.10 answered, this server answers: status, content type and body of every recorded exchange."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from batchbus_events.ids import new_job_id
from batchbus_events.memory import MemoryBus
from batchbus_service.app.api import make_api
from batchbus_service.app.bootstrap import Service, open_service
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.ports import Upload
from batchbus_service.domain.result import JobResult
from batchbus_service.domain.settings import Settings
from batchbus_service.http.medusa.times import timestamp
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving
from tests.http.conftest import Person, Site
from tests.http.golden.deviations import ANSWERED_DIFFERENTLY, NOT_REPLAYED
from tests.http.golden.exchange import Answer, Exchange, Names, differences, recorded

DEVIATIONS_PAGE: Final = Path(__file__).parents[3] / "docs" / "medusa.md"
PASSWORD: Final = "secret and long enough"
IDEMPOTENCY_KEY: Final = "91472ee8-2fce-467a-bbad-19d4001cf91b"
JOBS_AT_LAST: Final[Mapping[str, dict[str, Any]]] = {
    job["id"]: job for one in recorded() if one.number == "102" for job in one.answer.body["batch_jobs"]
}
"""Every job of the recordings' first user, as listed when all had come to rest."""


@dataclass
class Shop:
    """A server in the state of the recorded one, the people of the recordings, and what stands for what."""

    site: Site
    bus: MemoryBus
    admin: Person
    other: Person
    names: Names = field(default_factory=Names)
    session: str = ""
    jwt: str = ""
    etag: str = ""

    def job(self, ending: str) -> str:
        """Our id of a job, from the last letters of the recorded one."""
        return self.names.ours[_recorded_id(ending)]

    async def create(self, ending: str, context: dict[str, Any] | None = None, key: str | None = None) -> None:
        """A job that the recordings list, made by a request that is not among them."""
        body = {"type": "product-export", "context": context or {}, "dry_run": True}
        answer = await self.admin.http.post(
            "/admin/batch-jobs", json=body, headers={"idempotency-key": key} if key else {}
        )
        assert answer.status_code == 201, answer.text
        self.names.ours[_recorded_id(ending)] = answer.json()["batch_job"]["id"]

    async def leave_behind(self, ending: str) -> None:
        """A job that the recordings list and that nobody can make here, as if another version had left it behind."""
        told, now = JOBS_AT_LAST[_recorded_id(ending)], self.site.service.transitions.clock.now()
        job = Job(
            id=new_job_id(),
            type=told["type"],
            dry_run=True,
            context=told["context"],
            created_by=self.admin.user.id,
            request_digest="",
            status=Status(told["status"]),
            created_at=now,
            updated_at=now,
            status_at={status: now for status in Status if told.get(f"{status}_at")},
            result=None if told["result"] is None else JobResult.read(told["result"]),
        )
        await self.site.service.transitions.store.insert(job)
        self.names.ours[told["id"]] = job.id

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """While one is there, jobs go on; the recorded server was slow, which is not to be copied."""
        async with open_service(self.site.service.settings, bus=self.bus):
            yield

    async def ask(self, exchange: Exchange) -> Answer:
        """Send the recorded request, in our names."""
        known = {
            "test_token": self.admin.token,
            "other_token": self.other.token,
            "<session>": self.session,
            "<jwt>": self.jwt,
        }
        headers = {name: _replaced(value, known) for name, value in exchange.headers.items()}
        if "if-none-match" in headers:
            headers["if-none-match"] = self.etag
        now = timestamp(self.site.service.transitions.clock.now()) or ""
        url = re.sub(r"2026-11-21T21(:|%3A)25(:|%3A)25\.768Z", now, self.names.translated(exchange.url))
        content = exchange.content and self.names.translated(exchange.content).replace('"secret"', f'"{PASSWORD}"')
        async with httpx.AsyncClient(base_url=self.site.url) as http:
            response = await http.request(exchange.method, url, headers=headers, content=content)
        self.etag = response.headers.get("etag", self.etag)
        self.session = response.cookies.get("connect.sid") or self.session
        content_type = response.headers.get("content-type")
        if content_type is None or not content_type.startswith("application/json"):
            return Answer(response.status_code, content_type, response.text or None)
        body = response.json()
        self.jwt = body.get("access_token", self.jwt)
        return Answer(response.status_code, content_type, body)

    def faults(self, expected: Answer, answer: Answer, names: Names) -> Iterator[str]:
        """In what an answer of ours is not the expected one."""
        if answer.status != expected.status:
            yield f"status is {answer.status}, not {expected.status}"
        if answer.content_type != expected.content_type:
            yield f"content type is {answer.content_type}, not {expected.content_type}"
        yield from differences(self._here(expected.body), answer.body, names)

    def _here(self, body: Any) -> Any:
        """A recorded body with our address in it, and without the `api_token` of users, which is a secret here."""
        match body:
            case dict():
                return {key: self._here(value) for key, value in body.items() if key != "api_token"}
            case list():
                return [self._here(item) for item in body]
            case str():
                return body.replace("<server>", self.site.url)
            case _:
                return body


async def _with_the_same_key(shop: Shop) -> None:
    await shop.create("3WD346", key=IDEMPOTENCY_KEY)


async def _an_order_export_and_a_second_job_of_the_key(shop: Shop) -> None:
    await shop.leave_behind("DE1PE1")
    await shop.leave_behind("VFFEGX")


async def _an_odd_context(shop: Shop) -> None:
    odd = {"foo": {"bar": [1, None, "x"]}, "filterable_fields": {"status": ["draft"]}}
    await shop.create("EBW7GZ", odd | {"offset": 2, "limit": 5, "fields": "title", "expand": "variants"})


async def _exports_that_fail(shop: Shop) -> None:
    await shop.leave_behind("JBPNHY")
    await shop.leave_behind("XAX2Y8")


async def _one_more(shop: Shop) -> None:
    await shop.create("NAWRYT")


async def _everything_runs(shop: Shop) -> None:
    async with shop.worker():
        for ending in ("P3KRK9", "TF72MX", "3WD346", "EBW7GZ", "NAWRYT", "YYH3T0"):
            await shop.admin.until(shop.job(ending), "batch.pre_processed")
        await shop.admin.until(shop.job("D4F1WD"), "batch.failed")
        await shop.admin.until(shop.job("RXV8V1"), "batch.completed")


async def _the_confirmed_job_runs(shop: Shop) -> None:
    async with shop.worker():
        await shop.admin.until(shop.job("P3KRK9"), "batch.completed")


async def _one_is_canceled(shop: Shop) -> None:
    assert (await shop.admin.http.post(f"/admin/batch-jobs/{shop.job('TF72MX')}/cancel")).status_code == 200


MEANWHILE: Final[Mapping[str, Callable[[Shop], Awaitable[None]]]] = {
    "021": _with_the_same_key,
    "024": _an_order_export_and_a_second_job_of_the_key,
    "026": _an_odd_context,
    "028": _exports_that_fail,
    "058": _one_more,
    "069": _everything_runs,
    "081": _the_confirmed_job_runs,
    "102": _one_is_canceled,
}
"""What took place before the exchange of that number and is not among the recordings."""


@pytest.fixture
async def shop(settings: Settings, database_name: str) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(MemoryBus())
        settings = settings.model_copy(update={"catalog_database": f"c_{database_name[-30:]}"})
        service: Service = await stack.enter_async_context(open_service(settings, work=False, bus=bus))
        sock = listen("127.0.0.1", 0)
        api = await stack.enter_async_context(serving(make_api(service), sock))
        site = Site(service, api, f"http://127.0.0.1:{sock.getsockname()[1]}", stack)
        async with service.files.write("bad-columns.csv") as file:
            await file.write(b"Product Handle,Product Title,Nonsense\nblue-mug,Blue mug,1\n")
        admin, other = await site.person("admin", password=PASSWORD), await site.person("other")
        # Medusa chose the key of what the recorded user had uploaded: no upload of ours would be called so.
        note = Upload("bad-columns.csv", admin.user.id, public=False)
        await service.stores.uploads.insert(note, datetime.now(UTC))
        yield Shop(site, bus, admin, other)


async def test_every_exchange_is_answered_as_recorded_or_as_the_table_of_deviations_says(shop: Shop) -> None:
    wrong: list[str] = []
    for exchange in recorded():
        if exchange.number in MEANWHILE:
            await MEANWHILE[exchange.number](shop)
        if exchange.name in NOT_REPLAYED:
            continue
        answer = await shop.ask(exchange)
        if deviation := ANSWERED_DIFFERENTLY.get(exchange.name):
            if not any(shop.faults(exchange.answer, answer, deepcopy(shop.names))):
                wrong.append(f"{exchange.name}: is answered as recorded, so that it needs no deviation")
            expected = deviation.instead(exchange.answer, JOBS_AT_LAST)
        else:
            expected = exchange.answer
        wrong += [f"{exchange.name}: {fault}" for fault in shop.faults(expected, answer, shop.names)]
    assert not wrong, "\n".join(wrong)


def test_every_deviation_is_of_a_recorded_exchange_and_a_row_of_the_page() -> None:
    names = {exchange.name for exchange in recorded()}
    assert ANSWERED_DIFFERENTLY.keys() | NOT_REPLAYED.keys() <= names
    assert not ANSWERED_DIFFERENTLY.keys() & NOT_REPLAYED.keys()
    page = DEVIATIONS_PAGE.read_text()
    rows = {row for deviation in ANSWERED_DIFFERENTLY.values() for row in deviation.rows}
    assert [row for row in sorted(rows) if f"| {row} |" not in page] == []


def _recorded_id(ending: str) -> str:
    (found,) = (job_id for job_id in JOBS_AT_LAST if job_id.endswith(ending))
    return found


def _replaced(text: str, known: Mapping[str, str]) -> str:
    for placeholder, value in known.items():
        text = text.replace(placeholder, value)
    return text

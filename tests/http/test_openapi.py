"""The OpenAPI document is complete, and every answer is as it says.

Requests of every kind are made up from the document: right ones and wrong ones, about things that are there and about
others. `BATCHBUS_API_EXAMPLES` sets how many for each operation, if there is time for more than a few: `make fuzz`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from batchbus_service.access import Role
from batchbus_service.app.api import make_api
from batchbus_service.app.bootstrap import open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.http import openapi
from batchbus_service.http.server.listen import listen
from batchbus_service.http.server.server import serving
from tests.http.conftest import BATCH_TYPES, Person
from tests.patience import PATIENCE

EXAMPLES: Final = int(os.environ.get("BATCHBUS_API_EXAMPLES", "3"))
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS: Final = ("get", "/admin/events")
"""A stream that nobody would wait for the end of; its tests are in `test_streams`."""


@dataclass(frozen=True)
class Shop:
    """A server with something of everything in it."""

    url: str
    headers: dict[str, str]
    known: dict[str, Sequence[str]]
    """What can be put into the paths that begin so."""

    def document(self) -> Any:
        return schemathesis.openapi.from_url(f"{self.url}/openapi.json")


@pytest.fixture(scope="module")
def shop(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """It runs in a thread of its own, since the requests are made by code that blocks."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_open_shop(mongo_url, tmp_path_factory.mktemp("shop"))) as shop,
    ):
        yield shop


@asynccontextmanager
async def _open_shop(mongo_url: str, folder: Path) -> AsyncIterator[Shop]:
    name = uuid4().hex[:12]
    site = Settings(
        mongodb_url=mongo_url,
        mongodb_database=f"openapi_{name}",
        catalog_database=f"openapi_catalog_{name}",
        data_dir=folder,
        strategies_dir=BATCH_TYPES,
        jwt_secret="a secret that only this test knows",
        max_upload_bytes=100_000,
    )
    sock = listen("127.0.0.1", 0)
    async with open_service(site) as service, serving(make_api(service), sock) as api:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        user = await api.users.add("olga@example.com", role=Role.ADMIN)
        token = (await api.users.tokens.create(user, Role.ADMIN.scopes)).secret
        headers = {"x-medusa-access-token": token}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as http:
            yield Shop(url, headers, await _filled(Person(user, token, http)))


async def _filled(olga: Person) -> dict[str, Sequence[str]]:
    async def made(path: str, kind: str, **body: object) -> str:
        answer = await olga.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        name: str = answer.json()[kind]["id"]
        return name

    key = await olga.upload(b"fine\nbad\n")
    done = (await olga.create("rows", {"fileKey": key}))["id"]
    await olga.until(done, "batch.completed")
    waiting = [(await olga.create("gated", dry_run=True))["id"] for _ in range(3)]
    carl = await made("/admin/users", "user", email="carl@example.com", password="long enough for anyone")
    token = await made("/admin/tokens", "token", user=carl)
    replay = await made("/admin/replays", "replay", destination={"exchange": "batch.events"}, reason="to have one")
    return {
        "/admin/batch-jobs/{id}/events": [done],  # of a job that is over: the stream ends
        "/admin/batch-jobs": [done, *waiting],
        "/admin/batch-types": ["rows", "gated", "product-import"],
        "/admin/users": [carl],
        "/admin/tokens": [token],
        "/admin/replays": [replay],
        "/uploads": [key],
    }


@pytest.mark.timeout(0 if EXAMPLES > 3 else 300)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # in the strategies of schemathesis
def test_every_answer_is_as_the_document_says(shop: Shop) -> None:
    wrong: list[str] = []
    for found in shop.document().get_all_operations():
        operation = found.ok()
        if (operation.method, operation.path) == ENDLESS:
            continue
        try:
            _try_out(shop, operation)
        except FailureGroup as failures:
            wrong += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    assert not wrong, "\n\n".join(wrong)


def _try_out(shop: Shop, operation: Any) -> None:
    places = [{}, *({"id": known, "type": known, "key": known} for known in _known(shop, operation.path))]
    cases = [
        operation.as_strategy(mode, path_parameters={name: place[name] for name in _names(operation) & place.keys()})
        for mode in GenerationMode
        for place in places
    ]

    @settings(
        max_examples=EXAMPLES * len(GenerationMode),
        derandomize=EXAMPLES <= 3,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(cases))
    def check(case: Case[Any]) -> None:
        case.call_and_validate(headers=shop.headers, checks=CHECKS, timeout=PATIENCE)

    check()


def _known(shop: Shop, path: str) -> Sequence[str]:
    return next((known for begin, known in shop.known.items() if path.startswith(begin)), ())


def _names(operation: Any) -> set[str]:
    return {parameter.name for parameter in operation.path_parameters}


def test_the_document_is_for_everyone_and_names_all_that_a_client_has_to_know(shop: Shop) -> None:
    document = httpx.get(f"{shop.url}/openapi.json", timeout=PATIENCE).json()
    assert document == openapi.document(), "the committed document is made without a service, and has to be the same"
    assert document["components"]["securitySchemes"].keys() == {"apiToken", "bearer", "session"}
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    names = [one["operationId"] for _, one in operations]
    assert len(names) == len(set(names))
    for path, one in operations:
        assert one["summary"] and one["tags"]
        assert "422" not in one["responses"]
        if path.startswith("/admin/batch-jobs"):
            assert one["security"] == [{"apiToken": []}, {"bearer": []}, {"session": []}]
            assert {"400", "401", "403", "404", "503"} <= one["responses"].keys()
    listed = {one["name"] for one in document["paths"]["/admin/batch-jobs"]["get"]["parameters"]}
    assert {"limit", "type[]", "id[]", "created_at[lt]", "confirmed_at", "confirmed_at[gte]"} <= listed
    streams = document["paths"]["/admin/batch-jobs/{id}/events"]["get"]["responses"]
    assert streams["200"]["content"].keys() == {"text/event-stream"}
    form = document["paths"]["/admin/uploads"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["files"]["items"] == {"type": "string", "format": "binary"}

"""The template of every built-in import can be imported as it is, as CSV and as XLSX."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies import BatchStrategy, Registry, Services
from batchbus_strategies.templates import csv_template, xlsx_template
from batchbus_strategies.testing import FakeJob, LocalFiles

TEMPLATES = [
    (entry.batch_type, ending)
    for entry in Registry.load().entries
    if entry.batch_type.endswith("-import")
    for ending in entry.strategy_class.template_formats
]
CONTEXTS: dict[str, dict[str, Any]] = {"price-list-import": {"price_list_id": "pl_1"}}
"""What a type has to be told besides the file."""


async def _built(strategy: BatchStrategy[Any]) -> bytes | None:
    content = strategy.build_template()
    return content if content is None or isinstance(content, bytes) else await content


@pytest.fixture
async def furnished(services: Services) -> None:
    """What the examples are about."""
    await services.catalog["orders"].insert_one({"_id": "order_01JZ0000000000000000000000", "status": "pending"})
    await services.catalog["products"].insert_one(
        {"_id": "prod_1", "handle": "1", "variants": [{"id": "variant_1", "sku": "TABLE-OAK-1"}]}
    )
    await services.catalog["price_lists"].insert_one({"_id": "pl_1", "prices": []})


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize(("batch_type", "ending"), TEMPLATES)
async def test_a_template_can_be_imported(batch_type: str, ending: str, services: Services, files: LocalFiles) -> None:
    strategy = Registry.load().get(batch_type)
    assert strategy is not None
    content = await xlsx_template(strategy.explain_columns())
    if ending == "csv":
        content = csv_template(strategy.explain_columns())
        assert content == await _built(strategy)
    key = files.put(f"uploads/template.{ending}", content)
    job: FakeJob[Any] = FakeJob(strategy, {"fileKey": key, **CONTEXTS.get(batch_type, {})}, services)
    await job.prepare()
    await job.pre_process()
    await job.process()
    assert job.errors == []
    assert job.result["count"] == job.result["advancement_count"] > 0

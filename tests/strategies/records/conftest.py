"""Customers and products to import."""

from __future__ import annotations

import pytest

from batchbus_strategies import Services
from batchbus_strategies.testing import LocalFiles
from tests.strategies.records.customers import Customers
from tests.strategies.records.goods import Goods


@pytest.fixture
async def customers(services: Services, files: LocalFiles) -> Customers:
    await services.catalog["customer_groups"].insert_many(
        [{"_id": "grp_1", "name": "Wholesale"}, {"_id": "grp_2", "name": "Retail"}, {"_id": "grp_3", "name": "Retail"}]
    )
    return Customers(services, files)


@pytest.fixture
async def goods(services: Services, files: LocalFiles) -> Goods:
    found = Goods(services, files)
    await found.furnish()
    return found

"""An import of records keeps the contract of strategies: it may be stopped anywhere, and repeated."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies.testing import FakeJob, StrategyContract
from tests.strategies.records.customers import CustomerExport, CustomerImport, Customers, DeletingImport


class _OfCustomers(StrategyContract):
    @pytest.fixture(autouse=True)
    def _customers(self, customers: Customers) -> None:
        self.customers = customers

    async def outcome(self, job: FakeJob[Any]) -> object:
        told = self.customers.lines(job, "OUTCOME") if "OUTCOME" in job.result.get("files", {}) else None
        documents = await self.customers.all()
        return [
            [
                {
                    **one,
                    "_id": one["_id"][:4],
                    "created_at": None,
                    "updated_at": None,
                    "revision": None,
                    "deleted_at": bool(one.get("deleted_at")),
                }
                for one in sorted(documents, key=lambda one: one["email"])
            ],
            [{**one, "id": None, "revision": None} for one in told or ()],
        ]


class TestImport(_OfCustomers):
    """Seven records in chunks of two: new ones, changed ones, one that is wrong, one in conflict, one deleted."""

    async def new_job(self) -> FakeJob[Any]:
        for collection in ("customers", "tiers"):
            await self.customers.services.catalog[collection].delete_many({})
        await self.customers.services.catalog["customers"].insert_many(
            [{"_id": f"cus_{name}", "email": name, "first_name": name.upper()} for name in ("a", "b", "c")]
        )
        content = (
            "Email,First Name,Tier,_delete\na,A2,Gold,\nn,N,Gold,\nb,B,,\nwrong,W,,maybe\nc,,,x\no,O,Silver,\np,P,,\n"
        )

        class InTwos(DeletingImport):
            chunk_size = 2

        return self.customers.job(content, strategy=InTwos(), on_error="skip")


class TestExport(_OfCustomers):
    """Five records."""

    async def new_job(self) -> FakeJob[Any]:
        if not await self.customers.all():
            await self.customers.run(
                "Email\n" + "".join(f"{n}@example.com\n" for n in range(5)), strategy=CustomerImport()
            )
        return FakeJob(CustomerExport(), {}, self.customers.services)

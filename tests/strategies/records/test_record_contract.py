"""An import of records keeps the contract of strategies: it may be stopped anywhere, and repeated."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies import JobRun
from batchbus_strategies.records import RecordImportContext
from batchbus_strategies.testing import FakeJob, StrategyContract
from tests.strategies.records.customers import CustomerExport, CustomerImport, Customers, DeletingImport
from tests.strategies.records.goods import Goods, ProductExport, ProductImport, stool, table
from tests.strategies.shop import timeless


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


class _Disturbed(ProductImport):
    """Somebody else changes an element of the file between the plan and its application."""

    async def process(self, run: JobRun[RecordImportContext]) -> None:
        theirs = {"$set": {"variants.1.title": "Theirs"}}
        await run.catalog["products"].update_one({"_id": "prod_theirs"}, theirs)
        await super().process(run)


class TestRowsImport(StrategyContract):
    """Seven products in chunks of two: new ones, changed elements, a bad row, a conflict, a deleted one, a list that comes."""

    @pytest.fixture(autouse=True)
    def _goods(self, goods: Goods) -> None:
        self.goods = goods

    async def new_job(self) -> FakeJob[Any]:
        products = self.goods.services.catalog["products"]
        await products.delete_many({})
        bare = {"_id": "prod_bare", "handle": "bare", "title": "Bare"}
        gone = stool(_id="prod_gone", handle="gone", variants=[])
        theirs = stool(_id="prod_theirs", handle="theirs")
        for element in theirs["variants"]:
            element["sku"] = None
        await products.insert_many([stool(), bare, gone, theirs])
        size = {"Option_1_Name": "Size"}
        return self.goods.job(
            table(
                {"Product_Handle": "new", "Product_Title": "New", "Variant_Title": "One", "Variant_SKU": "N1"},
                {"Product_Handle": "stool", "Variant_Id": "v_L", "Variant_SKU": "L2", "Price EUR": "12"},
                {"Product_Handle": "stool", "Variant_Title": "XL", "Variant_SKU": "XL", **size, "Option_1_Value": "XL"},
                {"Product_Handle": "bare", "Product_Title": "Bare!", "Variant_Title": "First"},
                {"Product_Handle": "bad", "Product_Title": "Bad", "Variant_Title": "One"},
                {"Product_Handle": "bad", "Variant_Title": "Two"},
                {"Product_Handle": "gone", "~delete": "TRUE"},
                {"Product_Handle": "theirs", "Variant_Id": "v_L", "Variant_Title": "Ours"},
                {"Product_Handle": "last", "Product_Title": "Last", "Variant_Title": "One", "Variant_SKU": "N2"},
            ).replace("~", "_"),
            strategy=_Disturbed(),
            on_error="skip",
        )

    async def outcome(self, job: FakeJob[Any]) -> object:
        told = self.goods.lines(job, "OUTCOME") if "OUTCOME" in job.result.get("files", {}) else []
        products = sorted(await self.goods.all("products"), key=lambda one: str(one["handle"]))
        for one in products:
            one["deleted_at"] = bool(one.get("deleted_at"))
        return [timeless(products), [{**one, "id": None, "revision": None} for one in told]]

    async def test_all_that_was_expected_is_done(self) -> None:
        """But for the conflict."""
        job = await self.new_job()
        await job.prepare()
        await job.pre_process()
        await job.process()
        assert (job.kept.advanced, job.result["outcome"]["conflict"]) == ((job.kept.count or 0) - 1, 1)


class TestRowsExport(StrategyContract):
    """Three products, of which one has no variants."""

    @pytest.fixture(autouse=True)
    def _goods(self, goods: Goods) -> None:
        self.goods = goods

    async def new_job(self) -> FakeJob[Any]:
        products = self.goods.services.catalog["products"]
        await products.delete_many({})
        await products.insert_many([stool(_id=f"prod_{n}", handle=str(n)) for n in range(2)])
        await products.insert_one({"_id": "prod_bare", "handle": "bare", "title": "Bare"})
        return FakeJob(ProductExport(), {}, self.goods.services)

    async def outcome(self, job: FakeJob[Any]) -> object:
        return self.goods.files.get(job.result["file_key"]) if "file_key" in job.result else None

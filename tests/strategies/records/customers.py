"""A record as a newcomer declares it, and what the tests do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import from_json

from batchbus_strategies import Json, Services
from batchbus_strategies.records import (
    Column,
    Key,
    Money,
    Named,
    Numbered,
    Part,
    Record,
    RecordExport,
    RecordImport,
    RecordImportContext,
    Reference,
)
from batchbus_strategies.testing import FakeJob, LocalFiles


class Address(Part):
    city: Annotated[str | None, Column("City")] = None
    zip: Annotated[str | None, Column("Postal Code", also=["Zip"])] = None


class Phone(Part):
    number: Annotated[str, Column("Phone <n>")]
    kind: Annotated[str | None, Column("Phone <n> Kind")] = None


class Customer(Record, collection="customers", id_prefix="cus_"):
    email: Annotated[str, Key("Email", also=["E-mail"]), Field(max_length=100)]
    first_name: Annotated[str | None, Column("First Name")] = None
    group: Annotated[str | None, Reference("customer_groups", by="name", column="Group")] = None
    tier: Annotated[str | None, Reference("tiers", by="name", column="Tier", missing="create", prefix="tier_")] = None
    channel: Annotated[str | None, Reference("channels", by="name", column="Channel", missing="skip")] = None
    credit_limit: Annotated[Money | None, Column("Credit Limit")] = None
    discount: Annotated[int | None, Column("Discount", currency="EUR"), Field(ge=0)] = None
    vat: Annotated[str | None, Column("VAT", unique=True)] = None
    status: Annotated[Literal["active", "blocked"], Column("Status")] = "active"
    newsletter: Annotated[bool, Column("Newsletter")] = False
    tags: Annotated[list[str], Column("Tags")] = Field(default_factory=list)
    address: Address = Address()
    phones: Annotated[list[Phone], Numbered()] = Field(default_factory=list)
    pictures: Annotated[list[str], Numbered("Picture <n>")] = Field(default_factory=list)
    attributes: Annotated[dict[str, str], Named("Attribute <name>")] = Field(default_factory=dict)


class CustomerImport(RecordImport[Customer]):
    batch_type = "customer-import"
    chunk_size = 2


class DeletingImport(RecordImport[Customer]):
    batch_type = "customer-delete"
    deletes = True


class CustomerExport(RecordExport[Customer]):
    batch_type = "customer-export"


class Customers:
    """Imports customers, and looks at what became of it."""

    def __init__(self, services: Services, files: LocalFiles) -> None:
        self.services = services
        self.files = files

    def job(
        self, content: str | bytes, *, strategy: RecordImport[Any] | None = None, name: str = "c.csv", **context: Json
    ) -> FakeJob[RecordImportContext]:
        key = self.files.put(f"uploads/{name}", content.encode() if isinstance(content, str) else content)
        return FakeJob(strategy or CustomerImport(), {"fileKey": key, **context}, self.services)

    async def run(self, content: str | bytes, **options: Any) -> FakeJob[RecordImportContext]:
        job = self.job(content, **options)
        await job.prepare()
        await job.pre_process()
        await job.process()
        return job

    def lines(self, job: FakeJob[RecordImportContext], name: str) -> list[dict[str, Any]]:
        """The lines of the plan (`PLAN`) or the outcome (`OUTCOME`) of a job."""
        return [from_json(line) for line in self.files.get(job.result["files"][name]).splitlines()]

    async def all(self, collection: str = "customers") -> list[dict[str, Any]]:
        return [found async for found in self.services.catalog[collection].find({}, sort=[("_id", 1)])]

    async def by_email(self) -> dict[str, Mapping[str, Any]]:
        return {found["email"]: found for found in await self.all()}

    async def export(self, **context: Json) -> bytes:
        job = FakeJob(CustomerExport(), context, self.services)
        await job.prepare()
        await job.pre_process()
        await job.process()
        assert job.kept.count == job.kept.advanced
        content = self.files.get(job.result["file_key"])
        assert job.result["file_size"] == len(content)
        return content

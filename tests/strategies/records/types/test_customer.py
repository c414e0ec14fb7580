"""Customers with a group, addresses inside, and any number of phones."""

from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Numbered, Part, Record, RecordExport, RecordImport, Reference
from batchbus_strategies.testing import RecordContract


class Address(Part):
    city: Annotated[str | None, Column("City")] = None
    zip: Annotated[str | None, Column("Postal Code")] = None


class Customer(Record, collection="customers", id_prefix="cus_"):
    email: Annotated[str, Key("Email", also=["E-mail"]), Field(examples=["ada@example.com"])]
    first_name: Annotated[str | None, Column("First Name")] = None
    group: Annotated[str | None, Reference("customer_groups", by="name", column="Group")] = None
    address: Address = Address()
    phones: Annotated[list[str], Numbered("Phone <n>")] = Field(default_factory=list)


class CustomerImport(RecordImport[Customer]):
    batch_type = "customer-import"


class CustomerExport(RecordExport[Customer]):
    batch_type = "customer-export"


class TestCustomers(RecordContract):
    import_type, export_type = CustomerImport, CustomerExport
    content = "E-mail,First Name,Group,City,Phone 1,Phone 2\na@b.c,Ada,Retail,London,007,=1\nb@b.c,,,,,\nc@b.c,C,,,1,\n"
    wrong = "d@b.c,Dora,Nobody,Oslo,1,2"
    mended = "d@b.c,Dora,Retail,Oslo,1,2"

    async def furnish(self) -> None:
        await self.catalog["customer_groups"].insert_one({"_id": "grp_1", "name": "Retail"})
        await self.catalog["customers"].insert_one({"_id": "cus_b", "email": "b@b.c", "first_name": "Bob"})

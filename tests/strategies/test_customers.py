"""`customer-import` and `customer-export`: what their files have, and that they keep the contract."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from batchbus_strategies import JobRefused, Json, Registry, Services
from batchbus_strategies.customers import CustomerExport, CustomerImport
from batchbus_strategies.testing import FakeJob, LocalFiles, RecordContract

CONTENT = (
    "Email,First Name,Last Name,Phone,Group,Address 1,Postal Code,City,Country Code\n"
    'ada@example.com,Ada,Lovelace,+44 20 7946 0000,"Wholesale,""Friends, and more""",12 Church Lane,SW1A 1AA,London,gb\n'
    "bob@example.com,Bob,,,,,,,\n"
)


GROUPS = ({"_id": "grp_1", "name": "Wholesale"}, {"_id": "grp_2", "name": "Friends, and more"})


async def run(services: Services, strategy: CustomerImport | CustomerExport, context: dict[str, Json]) -> FakeJob[Any]:
    job: FakeJob[Any] = FakeJob(strategy, context, services)
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


@pytest.fixture
async def groups(services: Services) -> None:
    await services.catalog["customer_groups"].insert_many([dict(group) for group in GROUPS])


@pytest.mark.usefixtures("groups")
async def test_a_file_becomes_customers_and_customers_the_same_file(services: Services, files: LocalFiles) -> None:
    key = files.put("uploads/c.csv", CONTENT.encode())
    job = await run(services, CustomerImport(), {"fileKey": key})
    assert job.result["outcome"] == {"created": 2}
    ada = await services.catalog["customers"].find_one({"email": "ada@example.com"})
    assert ada is not None
    assert ada["_id"].startswith("cus_")
    assert (ada["group_ids"], ada["phone"]) == (["grp_1", "grp_2"], "+44 20 7946 0000")
    assert ada["billing_address"] == {
        "address_1": "12 Church Lane",
        "address_2": None,
        "postal_code": "SW1A 1AA",
        "city": "London",
        "country_code": "gb",
    }

    exported = await run(services, CustomerExport(), {"order": "Email"})
    content = files.get(exported.result["file_key"])
    ada_again, bob = csv.DictReader(io.StringIO(content.decode()))
    assert (ada_again["City"], bob["First Name"], bob["Groups"]) == ("London", "Bob", "")
    assert ada_again["Groups"] == 'Wholesale,"Friends, and more"'
    again = await run(services, CustomerImport(), {"fileKey": files.put("uploads/again.csv", content)})
    assert again.result["outcome"] == {"unchanged": 2}


@pytest.mark.parametrize(
    ("row", "column"),
    [("nobody,,,,,,,,", "Email"), ("a@b.example,,,,Retail,,,,", "Groups"), ("a@b.example,,,,,,,,GBR", "Country Code")],
)
@pytest.mark.usefixtures("groups")
async def test_what_no_customer_can_have_is_an_error_of_its_cell(
    services: Services, files: LocalFiles, row: str, column: str
) -> None:
    header = CONTENT.splitlines()[0]
    key = files.put("uploads/c.csv", f"{header}\n{row}\n".encode())
    job = await run(services, CustomerImport(), {"fileKey": key, "on_error": "skip"})
    assert job.result["outcome"] == {"refused": 1}
    assert [error.column for error in job.errors] == [column]


def test_they_are_built_in() -> None:
    registry = Registry.load()
    assert isinstance(registry.get("customer-import"), CustomerImport)
    assert isinstance(registry.get("customer-export"), CustomerExport)


class TestCustomers(RecordContract):
    import_type, export_type = CustomerImport, CustomerExport
    content = CONTENT + "eve@example.com,Eve,,,Wholesale,,,,\n"
    wrong = "dora@example,Dora,,,,,,,deu"
    mended = "dora@example,Dora,,,,,,,de"

    async def furnish(self) -> None:
        await self.catalog["customer_groups"].insert_many([dict(group) for group in GROUPS])
        await self.catalog["customers"].insert_one({"_id": "cus_eve", "email": "eve@example.com", "first_name": "Eva"})


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("max_delete", "max_deletes"), ("on_eror", "on_error"), ("filekey", "fileKey")]
)
async def test_a_misspelt_field_of_the_context_is_refused_and_other_keys_are_kept(
    services: Services, files: LocalFiles, misspelt: str, meant: str
) -> None:
    context: dict[str, Json] = {"fileKey": files.put("uploads/c.csv", CONTENT.encode()), "ours": "kept"}
    await FakeJob(CustomerImport(), context, services).prepare()
    value = context.pop(meant, "abort")
    with pytest.raises(JobRefused, match=f"{misspelt} is no field of it; {meant} is"):
        await FakeJob(CustomerImport(), {**context, misspelt: value}, services).prepare()

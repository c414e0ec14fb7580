"""Columns that are only compared, and records that are found by their id alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest

from batchbus_strategies import JobRefused, Json, Services
from batchbus_strategies.records import Column, DeclarationError, Part, Record, RecordExport, RecordImport, Shown
from batchbus_strategies.testing import FakeJob, LocalFiles


class Sender(Part):
    city: Annotated[str | None, Column("City")] = None


class Parcel(Record, collection="parcels", id_prefix="par_", id_column="Parcel"):
    number: Annotated[int | None, Shown("Number")] = None
    weight: Annotated[
        int | None, Shown("Kilograms", cell=lambda document: Decimal(document.get("weight") or 0) / 1000)
    ] = None
    created_at: Annotated[datetime | None, Shown("Sent")] = None
    note: Annotated[str | None, Column("Note")] = None
    sender: Sender = Sender()
    insured: Annotated[int | None, Shown("Insured", only_with="insured")] = None


class ParcelImport(RecordImport[Parcel]):
    batch_type = "parcel-import"


class ParcelExport(RecordExport[Parcel]):
    batch_type = "parcel-export"


@pytest.fixture
async def parcels(services: Services) -> Services:
    sent = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    await services.catalog["parcels"].insert_many(
        [
            {"_id": "par_1", "number": 1, "weight": 1500, "created_at": sent, "sender": None},
            {"_id": "par_2", "number": 2, "weight": -500, "created_at": sent, "sender": {"city": "Oslo", "zip": "1"}},
        ]
    )
    return services


async def carried_out(job: FakeJob[Any]) -> FakeJob[Any]:
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


async def imported(services: Services, content: str, **context: Json) -> FakeJob[Any]:
    assert isinstance(services.files, LocalFiles)
    key = services.files.put("uploads/p.csv", content.encode())
    return await carried_out(FakeJob(ParcelImport(), {"fileKey": key, **context}, services))


async def exported(services: Services, **context: Json) -> str:
    job = await carried_out(FakeJob(ParcelExport(), context, services))
    assert isinstance(services.files, LocalFiles)
    return services.files.get(job.result["file_key"]).decode()


async def test_an_export_has_the_id_and_makes_cells_of_the_whole_document(parcels: Services) -> None:
    content = await exported(parcels, order="id")
    assert content == (
        "Parcel,Number,Kilograms,Sent,Note,City\r\n"
        "par_1,1,1.5,2025-01-02T03:04:05Z,,\r\n"
        "par_2,2,-0.5,2025-01-02T03:04:05Z,,Oslo\r\n"
    )


async def test_some_columns_are_there_only_if_a_record_takes_them(parcels: Services) -> None:
    await parcels.catalog["parcels"].update_one({"_id": "par_2"}, {"$set": {"insured": 7}})
    assert (await exported(parcels, order="id")).splitlines()[0] == "Parcel,Number,Kilograms,Sent,Note,City,Insured"
    only_first = await exported(parcels, filterable_fields={"Parcel": "par_1"})
    assert only_first.splitlines()[0] == "Parcel,Number,Kilograms,Sent,Note,City"


async def test_importing_an_export_changes_nothing(parcels: Services) -> None:
    job = await imported(parcels, await exported(parcels))
    assert job.result["outcome"] == {"unchanged": 2}


async def test_what_is_only_compared_cannot_be_changed_but_may_be_written_in_another_form(parcels: Services) -> None:
    job = await imported(
        parcels,
        "Parcel,Kilograms,Number,Note\npar_1,1.50,1,new\npar_2,-0.5,3,new\n",
        on_error="skip",
    )
    assert job.result["outcome"] == {"updated": 1, "refused": 1}
    (error,) = job.errors
    assert (error.line, error.column, error.code, error.value) == (3, "Number", "read_only", "3")
    assert error.message == "an import cannot change it, and it is 2"


async def test_a_record_without_a_key_is_found_by_its_id_and_never_created(parcels: Services) -> None:
    job = await imported(parcels, "Parcel,Note\npar_1,a\npar_9,b\n,c\n", on_error="skip")
    assert job.result["outcome"] == {"updated": 1, "refused": 2}
    assert [(error.line, error.column, error.code) for error in job.errors] == [
        (3, "Parcel", "unknown_record"),
        (4, None, "missing_key"),
    ]
    assert await parcels.catalog["parcels"].count_documents({}) == 2
    with pytest.raises(JobRefused, match='there is no column "Parcel"'):
        await imported(parcels, "Note\na\n")


async def test_a_field_inside_something_that_is_null_can_be_set(parcels: Services) -> None:
    job = await imported(parcels, "Parcel,City\npar_1,Rome\npar_2,Bern\n")
    assert job.result["outcome"] == {"updated": 2}
    first, second = await parcels.catalog["parcels"].find({}, sort=[("_id", 1)]).to_list(None)
    assert first["sender"] == {"city": "Rome"}
    assert second["sender"] == {"city": "Bern", "zip": "1"}


def test_a_record_that_nothing_finds_is_refused_where_it_is_declared() -> None:
    class Loose(Record, collection="loose"):
        note: Annotated[str | None, Column("Note")] = None

    with pytest.raises(DeclarationError, match="no Key and no id_column"):

        class LooseImport(RecordImport[Loose]):
            batch_type = "loose-import"

"""References in the elements of records of several rows: found, refused, created or skipped, and exported again."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from batchbus_strategies import Services
from batchbus_strategies.records import Column, Key, Part, Record, RecordExport, RecordImport, Reference, Rows
from batchbus_strategies.testing import FakeJob, LocalFiles, RecordContract


class Line(Part):
    article: Annotated[str | None, Column("Article", unique=True, index="articles")] = None
    maker: Annotated[str | None, Reference("makers", by="name", column="Maker", missing="create", prefix="mk_")] = None
    places: Annotated[list[str], Reference("places", by="code", column="Places", missing="skip")] = []  # noqa: RUF012
    tax: Annotated[str | None, Reference("taxes", by="code", column="Tax")] = None


class Bill(Record, collection="bills", id_prefix="bill_"):
    number: Annotated[str, Key("Number")]
    maker: Annotated[
        str | None, Reference("makers", by="name", column="Main Maker", missing="create", prefix="mk_")
    ] = None
    lines: Annotated[list[Line], Rows(id_column="Line Id", id_prefix="line_")]


class BillImport(RecordImport[Bill]):
    batch_type = "bill-import"


class BillExport(RecordExport[Bill]):
    batch_type = "bill-export"


_MADE = (
    "Number,Main Maker,Article,Maker,Places,Tax\n"
    '1,Oak Ltd,A,Oak Ltd,"a,b",full\n1,,B,Elm Ltd,"b,nowhere",half\n2,,C,,,full\n'
)


async def furnish(services: Services) -> None:
    catalog = services.catalog
    await catalog["taxes"].insert_many([{"_id": "t_1", "code": "full"}, {"_id": "t_2", "code": "half"}])
    await catalog["places"].insert_many([{"_id": "p_1", "code": "a"}, {"_id": "p_2", "code": "b"}])


async def load(services: Services, content: str | bytes, **context: Any) -> FakeJob[Any]:
    assert isinstance(services.files, LocalFiles)
    key = services.files.put("bills.csv", content.encode() if isinstance(content, str) else content)
    job = FakeJob(BillImport(), {"fileKey": key, **context}, services)
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


@pytest.fixture
async def bills(services: Services) -> Services:
    await furnish(services)
    await load(services, _MADE)
    return services


async def lines_of(services: Services, number: str) -> list[dict[str, Any]]:
    found = await services.catalog["bills"].find_one({"number": number})
    assert found is not None
    lines: list[dict[str, Any]] = found["lines"]
    return lines


async def test_what_rows_name_is_found_created_once_or_skipped(bills: Services) -> None:
    makers = {each["name"]: each["_id"] for each in await bills.catalog["makers"].find().to_list(None)}
    assert set(makers) == {"Oak Ltd", "Elm Ltd"}
    first, second = await lines_of(bills, "1")
    assert (first["maker"], first["places"], first["tax"]) == (makers["Oak Ltd"], ["p_1", "p_2"], "t_1")
    assert (second["maker"], second["places"], second["tax"]) == (makers["Elm Ltd"], ["p_2"], "t_2")
    assert [each["maker"] for each in await lines_of(bills, "2")] == [None]


async def test_another_name_is_a_change_of_that_element_alone(bills: Services) -> None:
    job = await load(bills, "Number,Article,Maker\n1,A,Ash Ltd\n")
    assert job.result["operations"]["update"] == 1
    (ash,) = await bills.catalog["makers"].find({"name": "Ash Ltd"}).to_list(None)
    assert [each["maker"] == ash["_id"] for each in await lines_of(bills, "1")] == [True, False]


async def test_a_name_that_is_not_there_refuses_the_record_with_line_column_and_value(
    bills: Services, files: LocalFiles
) -> None:
    content = "Number,Article,Maker,Tax\n3,D,New Ltd,full\n3,E,,none at all\n"
    job = await load(bills, content, on_error="skip")
    assert [(each.line, each.column, each.code, each.value) for each in job.errors] == [
        (3, "Tax", "unknown_reference", "none at all")
    ]
    assert await bills.catalog["makers"].count_documents({"name": "New Ltd"}) == 0
    assert b"none at all" in files.get(job.result["files"]["ERRORS"])


async def test_to_keep_the_rest_leaves_out_cells_and_no_references(bills: Services) -> None:
    before = await lines_of(bills, "1")
    job = await load(bills, "Number,Article,Maker,Tax\n1,A,Ash Ltd,none\n2,C,Ash Ltd,half\n", on_error="keep")
    assert (job.result["outcome"]["refused"], await lines_of(bills, "1")) == (1, before)
    (ash,) = await bills.catalog["makers"].find({"name": "Ash Ltd"}).to_list(None)
    (line,) = await lines_of(bills, "2")
    assert (line["maker"], line["tax"]) == (ash["_id"], "t_2")


class TestBills(RecordContract):
    import_type, export_type = BillImport, BillExport
    content = "Number,Article,Maker,Places,Tax\n1,A,Oak Ltd,a,full\n2,B,Elm Ltd,,half\n3,C,,,full\n"
    wrong = "4,D,Oak Ltd,a,none"
    mended = "4,D,Oak Ltd,a,half"

    async def furnish(self) -> None:
        await furnish(self.services)

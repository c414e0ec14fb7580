"""What a declaration with rows may have, and what it is told that it may not."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from types import GenericAlias
from typing import Annotated

import pytest
from pydantic import Field

from batchbus_strategies.records import (
    Column,
    Combination,
    DeclarationError,
    Family,
    Key,
    Money,
    Named,
    Numbered,
    Part,
    Record,
    RecordExport,
    RecordImport,
    Rows,
)
from batchbus_strategies.records.paths import ElementPath, element_path, parse_path
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.goods import Goods, PriceColumns

ROWS = Rows(id_column="Unit Id", id_prefix="unit_")


class Size(Part):
    width: Annotated[float | None, Column("Unit Width")] = None


class Picture(Part):
    url: Annotated[str, Column("Unit Image <n>")]
    text: Annotated[str | None, Column("Unit Image <n> Text")] = None


class Unit(Part):
    name: Annotated[str, Column("Unit")]
    price: Annotated[Money | None, Column("Unit Price")] = None
    size: Size = Size()
    pictures: Annotated[list[Picture], Numbered()] = Field(default_factory=list)
    labels: Annotated[dict[str, str], Named("Label <name>")] = Field(default_factory=dict)


class Box(Record, collection="boxes", id_prefix="box_"):
    code: Annotated[str, Key("Code")]
    prices: Annotated[list[Part], Family(PriceColumns())] = Field(default_factory=list)
    units: Annotated[list[Unit], ROWS]


class BoxImport(RecordImport[Box]):
    batch_type = "box-import"


class BoxExport(RecordExport[Box]):
    batch_type = "box-export"


CONTENT = (
    "Code,Price EUR,Unit,Unit Price,Unit Width,Unit Image 1,Unit Image 1 Text,Unit Image 2,Label Colour,Label a]b.c\n"
    "A,5,one,1.50 EUR,2.5,p1,text,p2,red,x\n"
    "A,,two,,,,,,,\n"
)


async def test_elements_may_have_every_kind_of_column_and_a_record_a_family_of_its_own(goods: Goods) -> None:
    await goods.run(CONTENT, strategy=BoxImport())
    (box,) = await goods.all("boxes")
    assert [price["amount"] for price in box["prices"]] == [500]
    one, two = box["units"]
    assert one["price"] == {"amount": 150, "currency_code": "eur"}
    assert one["size"] == {"width": 2.5}
    assert one["pictures"] == [{"url": "p1", "text": "text"}, {"url": "p2"}]
    assert one["labels"] == {"Colour": "red", "a]b.c": "x"}
    assert (two["labels"], two["pictures"]) == ({}, [])

    job = FakeJob(BoxExport(), {}, goods.services)
    await job.pre_process()
    await job.process()
    content = goods.files.get(job.result["file_key"]).decode()
    again = await goods.run(content, strategy=BoxImport())
    assert [line["op"] for line in goods.lines(again, "PLAN")] == ["unchanged"]

    edited = content.replace("2.5", "3").replace("red", "blue").replace("A,5,", "A,6,")
    changed = await goods.run(edited, strategy=BoxImport())
    (update,) = goods.lines(changed, "PLAN")
    assert update["changes"] == {
        "prices[ eur].amount": {"old": 500, "new": 600},
        f"units[{one['id']}].size.width": {"old": 2.5, "new": 3},
        f"units[{one['id']}].labels": {
            "old": {"Colour": "red", "a]b.c": "x"},
            "new": {"Colour": "blue", "a]b.c": "x"},
        },
    }
    (box,) = await goods.all("boxes")
    assert (box["prices"][0]["amount"], box["units"][0]["size"]["width"]) == (600, 3)


@pytest.mark.parametrize("identity", ["v_1", "", "a]b", "a\\", "\\]", "x.y[z]", "line\nbreak"])
@pytest.mark.parametrize("rest", ["", "title", "prices[a]].amount"])
def test_a_path_names_elements_by_any_identity(identity: str, rest: str) -> None:
    assert parse_path(element_path("variants", identity, rest)) == ElementPath("variants", identity, rest)


def _declared(**fields: object) -> Callable[[], object]:
    """A record with these fields of its units; those that begin with `of_record_` are its own."""

    def declare() -> object:
        own = {name.removeprefix("of_record_"): kind for name, kind in fields.items() if name.startswith("of_record_")}
        inner = {name: kind for name, kind in fields.items() if not name.startswith("of_record_")}
        part = types.new_class("Unit", (Part,), exec_body=lambda body: body.update({"__annotations__": inner}))
        units = GenericAlias(list, (part,))
        annotations = {"code": Annotated[str, Key("Code")], "units": Annotated[units, ROWS], **own}
        record = types.new_class(
            "Thing", (Record,), {"collection": "things"}, lambda body: body.update({"__annotations__": annotations})
        )
        return schema_of(record)

    return declare


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (_declared(sku=Annotated[str, Column("SKU", unique=True)]), "units.sku is unique, so it takes an index"),
        (
            _declared(sku=Annotated[str, Column("SKU", unique=True, index="code")]),
            "has the index code, which is another",
        ),
        (_declared(sku=Annotated[str, Key("SKU")]), "can have no Rows or Key"),
        (_declared(name=Annotated[str, Column("Code")]), "have the same column 'Code'"),
        (_declared(name=Annotated[str, Column("Unit Id")]), "have the same column 'Unit Id'"),
        (_declared(created_at=Annotated[str, Column("Made")]), "a field that every element has by itself"),
        (_declared(prices=Annotated[dict[str, str], Family(PriceColumns())]), "has to be a list of a Part"),
        (_declared(size=Annotated[dict[str, str], Combination("Name", "Value <n>")]), "has to have <n> in it, once"),
        (_declared(of_record_more=Annotated[list[Unit], Rows("More Id")]), "has Rows twice"),
        (_declared(of_record_more=Annotated[list[str], Rows("More Id")]), "has to be a list of a Part"),
        (
            _declared(of_record_size=Annotated[dict[str, str], Combination("Name <n>", "Value <n>")]),
            "a Combination belongs into a part with Rows",
        ),
        (_declared(of_record_sku=Annotated[str, Column("SKU", unique=True, index="skus")]), "needs no index"),
    ],
)
def test_what_cannot_be_carried_out_is_an_error_where_it_is_declared(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(says)):
        declare()

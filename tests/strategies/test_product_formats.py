"""Products in every format of tables: imported, refused with their place, answered in kind, and exported."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pydantic_core import from_json
from python_calamine import CalamineWorkbook

from batchbus_strategies import JobRefused
from batchbus_strategies.tables import Compression, Format, TableError, WriteOptions
from batchbus_strategies.testing import FakeJob
from tests.strategies.shop import Shop, stool, timeless, variant
from tests.strategies.table_files import ods, ods_row, put_rows, rows_of

FORMS: Final[Sequence[tuple[Format, Compression | None]]] = [
    *((format_, None) for format_ in ("csv", "tsv", "xlsx", "jsonl", "json")),
    *((format_, "gzip") for format_ in ("csv", "xlsx", "jsonl")),
    *((format_, "zip") for format_ in ("csv", "json")),
]
_ENDINGS: Final = {None: "", "gzip": ".gz", "zip": ".zip"}
_ROWS: Final = (
    variant("stool", "0012", Variant_Barcode="4006381333931000000001", Price_EUR="12.50", Product_Description="=1+1"),
    variant("bowl", "B-1", Variant_Barcode="", Price_EUR="", Product_Description='a\n"b"; ü'),
)


def spoken(form: tuple[Format, Compression | None]) -> str:
    return "-".join(each for each in form if each)


async def load(
    shop: Shop, rows: Sequence[Mapping[str, str]], form: tuple[Format, Compression | None], **context: Any
) -> FakeJob[Any]:
    """Import rows out of a file of that form."""
    key = f"uploads/products.{form[0]}{_ENDINGS[form[1]]}"
    options = WriteOptions(format=form[0], compression=form[1])
    return await shop.load_file(await put_rows(shop.files, key, rows, options), **context)


@pytest.mark.parametrize("form", FORMS, ids=spoken)
async def test_a_file_of_any_format_is_the_same_products(shop: Shop, form: tuple[Format, Compression | None]) -> None:
    job = await load(shop, _ROWS, form)
    found = {each["handle"]: each for each in timeless(await shop.products())}
    assert [found["stool"][name] for name in ("description", "skus", "barcodes")] == [
        *("=1+1", ["0012"], ["4006381333931000000001"])
    ]
    assert found["stool"]["variants"][0]["prices"][0]["amount"] == 1250
    assert found["bowl"]["description"] == 'a\n"b"; ü'
    assert (job.result["table"]["format"], job.result["table"].get("compression")) == form


@pytest.mark.parametrize("form", FORMS, ids=spoken)
async def test_what_is_left_out_comes_back_in_kind_and_is_imported_when_it_is_mended(
    shop: Shop, form: tuple[Format, Compression | None]
) -> None:
    wrong = variant("lamp", "L-1", Price_EUR="ten")
    job = await load(shop, [_ROWS[0], wrong, _ROWS[1]], form, on_error="skip")
    line = {"json": 2, "jsonl": 2}.get(form[0], 3)
    assert [(each.line, each.column, each.code, each.value) for each in job.errors] == [
        (line, "Price EUR", "bad_amount", "ten")
    ]
    key = job.result["files"]["ERRORS"]
    assert key.endswith(f"errors.{form[0]}{_ENDINGS[form[1]]}")
    (left,) = await rows_of(shop.files, key)
    assert {name: cell for name, cell in left.items() if cell} == wrong
    await load(shop, [left | {"Price EUR": "10"}], form)
    assert [each["handle"] for each in await shop.products()] == ["bowl", "lamp", "stool"]


async def test_an_ods_is_read_and_one_of_several_sheets_is_chosen(shop: Shop) -> None:
    names, cells = list(_ROWS[0]), list(_ROWS[0].values())
    content = ods(ods_row("Nothing"), ods_row(*names) + ods_row(*(cell.replace("=1+1", "x") for cell in cells)))
    await shop.load_file(shop.files.put("uploads/products.ods", content), sheet=2)
    assert (await shop.product("stool"))["skus"] == ["0012"]


async def test_in_json_a_key_that_is_not_there_leaves_a_product_as_it_is(shop: Shop) -> None:
    await load(shop, _ROWS, ("csv", None))
    before = await shop.product("stool")
    change = {"Product Id": before["_id"], "Product Handle": "stool", "Variant Id": before["variants"][0]["id"]}
    first = change | {"Product Title": "Oak stool"}
    await load(shop, [first], ("jsonl", None))
    after = await shop.product("stool")
    assert timeless(after) == timeless(before) | {"title": "Oak stool"}


async def test_columns_of_a_foreign_file_are_mapped(shop: Shop) -> None:
    rows = [{"Ref": "stool", "Name": "Stool", "Kind": "One", "Remarks": "x"}]
    columns = {"Ref": "Product Handle", "Name": "Product Title", "Kind": "Variant Title", "Remarks": None}
    await load(shop, rows, ("xlsx", None), columns=columns)
    assert (await shop.product("stool"))["title"] == "Stool"


async def test_a_line_of_json_that_is_none_is_refused_with_its_number(shop: Shop) -> None:
    content = b'{"Product Handle": "a", "Product Title": "A", "Variant Title": "One"}\n{"Product Handle": \n'
    with pytest.raises(TableError, match="Line 2"):
        await shop.load_file(shop.files.put("uploads/products.jsonl", content))
    assert await shop.products() == []


# -- exports -----------------------------------------------------------------------------------------------------------


async def exported(shop: Shop, **context: Any) -> str:
    job = await shop.export(**context)
    return str(job.result["file_key"])


async def fill(shop: Shop) -> None:
    """With products whose values are all that files get wrong, and one that has nothing."""
    await load(shop, _ROWS, ("csv", None))
    await shop.catalog["products"].update_one(
        {"handle": "bowl"},
        {
            "$set": {
                "weight": -5,
                "height": 30.5,
                "width": 1e-9,
                "length": 2**53 - 1,
                "sales_channels": [{"id": "sc_fair"}, {"id": "sc_gone"}],
                "variants.0.inventory_quantity": Int64(-3),
                "variants.0.weight": Decimal128("2.50"),
            }
        },
    )
    await shop.catalog["products"].insert_one({"_id": "prod_bare", "handle": "bare", "title": "Bare"})


@pytest.mark.parametrize("form", [*FORMS[:8]], ids=spoken)
async def test_importing_an_export_of_any_format_plans_nothing(
    shop: Shop, form: tuple[Format, Compression | None]
) -> None:
    await fill(shop)
    before = await shop.products()
    key = await exported(shop, format=form[0], compression=form[1])
    assert key.startswith("exports/products/product-export-") and key.endswith(f".{form[0]}{_ENDINGS[form[1]]}")
    job = await shop.load_file(key)
    assert (job.result["count"], job.errors) == (0, [])
    assert await shop.products() == before


async def test_numbers_are_numbers_in_every_format_and_no_formula(shop: Shop) -> None:
    await fill(shop)
    lines = shop.files.get(await exported(shop, format="jsonl", order="handle")).splitlines()
    found = {line["Product Handle"]: line for line in map(from_json, lines)}
    names = ["Product Weight", "Product Height", "Variant Inventory Quantity", "Variant Weight", "Variant SKU"]
    assert [found["bowl"][name] for name in names] == [-5, 30.5, -3, 2.5, "B-1"]
    assert (found["stool"]["Variant SKU"], found["stool"]["Product Description"]) == ("0012", "=1+1")
    (row,) = shop.exported(await shop.export(filterable_fields={"handle": "bowl"}))
    assert [row[name] for name in names] == ["-5", "30.5", "-3", "2.50", "B-1"]
    sheet = CalamineWorkbook.from_filelike(
        io.BytesIO(shop.files.get(await exported(shop, format="xlsx", order="handle")))
    )
    assert -5.0 in sheet.get_sheet_by_index(0).to_python()[2]


async def test_columns_can_be_chosen_and_an_import_of_them_leaves_the_others_alone(shop: Shop) -> None:
    await fill(shop)
    before = await shop.products()
    columns = ["Product Handle", "Product Id", "Variant Id", "variants.title", "Image <n> Url"]
    key = await exported(shop, columns=columns, order="handle")
    header = shop.files.get(key).decode().splitlines()[0]
    assert header == "Product Handle;Product Id;Variant Id;Variant Title"
    job = await shop.load_file(key)
    assert job.result["count"] == 0 and await shop.products() == before
    with pytest.raises(JobRefused, match="There is no column 'Colour'") as refused:
        await shop.export(columns=["Colour"])
    assert refused.value.field == "columns"


@pytest.mark.parametrize("context", [{"format": "pdf"}, {"compression": "rar"}])
async def test_a_form_that_there_is_not_is_refused_when_the_job_is_created(shop: Shop, context: Any) -> None:
    with pytest.raises(JobRefused) as refused:
        await shop.export(**context)
    assert refused.value.field in context


async def test_what_an_export_refers_to_is_written_as_it_is_now(shop: Shop) -> None:
    """The copies in products may be out of date, and an import finds things by the names that they have today."""
    product = stool(
        collection={"id": "pcol_spring", "title": "Old", "handle": "old"},
        collection_id="pcol_spring",
        sales_channels=[{"id": "sc_web", "name": "Old"}],
        categories=[{"id": "pcat_home", "handle": "old", "name": "Old"}],
    )
    await shop.catalog["products"].insert_one(product)
    (row,) = shop.exported(await shop.export())
    names = ["Product Collection Title", "Sales Channel 1 Name", "Product Category 1 Handle"]
    assert [row[name] for name in names] == ["Spring", "Web shop", "home"]

"""Products in every format of tables: imported, refused with their place, answered in kind, and explained by a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from batchbus_strategies.product_import import ProductImport
from batchbus_strategies.tables import (
    Compression,
    Format,
    TableError,
    TableOptions,
    WriteOptions,
    open_table,
    write_table,
)
from batchbus_strategies.testing import FakeJob
from tests.strategies.shop import Shop, timeless, variant
from tests.strategies.table_files import ods, ods_row

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
    key, names = (
        f"uploads/products.{form[0]}{_ENDINGS[form[1]]}",
        list(dict.fromkeys(name for row in rows for name in row)),
    )
    options = WriteOptions(format=form[0], compression=form[1])
    async with shop.files.write(key) as file, write_table(file, names, options) as writer:
        await writer.write([[row.get(name) for name in names] for row in rows])
    return await imported(shop, key, **context)


async def imported(shop: Shop, key: str, **context: Any) -> FakeJob[Any]:
    job = FakeJob(ProductImport(), {"fileKey": key, **context}, shop.services)
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


async def rows_of(shop: Shop, key: str) -> list[dict[str, str]]:
    table = await open_table(shop.files, key, TableOptions())
    return [
        {name: cell or "" for name, cell in zip(table.header, cells, strict=False)}
        async for batch in table.batches()
        for _, cells in batch
    ]


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
    (left,) = await rows_of(shop, key)
    assert {name: cell for name, cell in left.items() if cell} == wrong
    await load(shop, [left | {"Price EUR": "10"}], form)
    assert [each["handle"] for each in await shop.products()] == ["bowl", "lamp", "stool"]


async def test_an_ods_is_read_and_one_of_several_sheets_is_chosen(shop: Shop) -> None:
    names, cells = list(_ROWS[0]), list(_ROWS[0].values())
    content = ods(ods_row("Nothing"), ods_row(*names) + ods_row(*(cell.replace("=1+1", "x") for cell in cells)))
    await imported(shop, shop.files.put("uploads/products.ods", content), sheet=2)
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
        await imported(shop, shop.files.put("uploads/products.jsonl", content))
    assert await shop.products() == []

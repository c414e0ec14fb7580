"""Records that span several rows: which row is about which element, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies.records import RecordsRefused
from tests.strategies.records.goods import Goods, ProductImport, SignImport, stool, table

ROW = {"Product_Handle": "stool", "Product_Title": "Stool", "Product_Tags": "oak"}
OPTION = {"Option_1_Name": "Size"}
SMALL = {"Variant_Title": "Small", "Variant_SKU": "S", **OPTION, "Option_1_Value": "S", "Price EUR": "10"}
LARGE = {"Variant_Title": "Large", "Variant_SKU": "L", **OPTION, "Option_1_Value": "L", "Price Denmark [DKK]": "99.50"}


async def test_rows_of_a_new_record_are_its_elements_and_the_first_row_says_what_it_is(goods: Goods) -> None:
    job = await goods.load(table(ROW | SMALL, {"Product_Handle": "stool"} | LARGE))
    found = await goods.product()
    small, large = found["variants"]
    (size,) = found["options"]
    assert (found["title"], found["tags"], found["skus"]) == ("Stool", ["oak"], ["S", "L"])
    assert small["id"].startswith("variant_")
    assert small["created_at"] == small["updated_at"] == found["created_at"]
    assert size["title"] == "Size"
    assert [(each["option_id"], each["value"]) for each in large["options"]] == [(size["id"], "L")]
    assert [(each["amount"], each["currency_code"], each["region_id"]) for each in large["prices"]] == [
        (9950, "dkk", "reg_dk")
    ]
    assert large["prices"][0]["id"].startswith("ma_")
    assert (small["metadata"], small["stock"], small["deleted_at"]) == (None, 0, None)
    assert job.result["outcome"] == {"created": 1}
    assert job.kept.count == 1


async def test_rows_of_a_record_may_be_anywhere_in_the_file(goods: Goods) -> None:
    other = {"Product_Handle": "lamp", "Product_Title": "Lamp", "Variant_Title": "One"}
    await goods.load(table(ROW | SMALL, other, {"Product_Handle": "stool"} | LARGE))
    assert [each["title"] for each in (await goods.product())["variants"]] == ["Small", "Large"]


async def test_the_same_file_again_changes_nothing(goods: Goods) -> None:
    content = table(ROW | SMALL, ROW | LARGE)
    await goods.load(content)
    before = await goods.all("products")
    job = await goods.load(content)
    assert [line["op"] for line in goods.lines(job, "PLAN")] == ["unchanged"]
    assert await goods.all("products") == before


@pytest.mark.parametrize(
    "found_by",
    [
        {"Variant_Id": "v_L"},
        {"Variant_SKU": "STOOL-L"},
        {**OPTION, "Option_1_Value": "L"},
        {"Variant_Id": "v_L", "Variant_SKU": "NEW", **OPTION, "Option_1_Value": "XL"},
    ],
)
async def test_an_element_is_found_by_its_id_else_by_a_unique_value_else_by_its_combination(
    goods: Goods, found_by: dict[str, str]
) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    await goods.load(table({"Product_Handle": "stool", "Variant_Stock": "7"} | found_by))
    small, large = (await goods.product())["variants"]
    assert (small["stock"], large["stock"]) == (3, 7)
    assert large["ean"] == "123", "what no column is for stays"
    assert "updated_at" in large and "updated_at" not in small


async def test_a_row_that_matches_none_is_a_new_element_and_those_that_are_not_named_stay(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    row = {"Product_Handle": "stool", "Variant_Title": "XL", **OPTION, "Option_1_Value": "XL"}
    job = await goods.load(table(row))
    (update,) = goods.lines(job, "PLAN")
    ((path, change),) = update["changes"].items()
    assert path == f"variants[{change['new']['id']}]"
    found = await goods.product()
    assert [each["title"] for each in found["variants"]] == ["S", "L", "XL"]
    assert found["skus"] == ["STOOL-S", "STOOL-L"], "what another service did not write"


async def test_a_plan_tells_changes_of_each_element_with_what_was_there(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    job = await goods.planned(
        table(
            {
                "Product_Handle": "stool",
                "Variant_Id": "v_L",
                "Variant_Title": "Large",
                "Price EUR": "12.50",
                "Price Europe [EUR]": "11",
                **OPTION,
                "Option_1_Value": "XL",
            },
            {"Product_Handle": "stool", "Variant_Id": "v_S", "Price EUR": ""},
        )
    )
    (update,) = goods.lines(job, "PLAN")
    changes = update["changes"]
    new = changes.pop("variants[v_L].prices[reg_eu eur]")["new"]
    assert (new["amount"], new["region_id"], new["min_quantity"]) == (1100, "reg_eu", None)
    assert changes == {
        "variants[v_L].title": {"old": "L", "new": "Large"},
        "variants[v_L].prices[ eur].amount": {"old": 1000, "new": 1250},
        "variants[v_L].options[opt_size].value": {"old": "L", "new": "XL"},
        "variants[v_S].prices[ eur]": {
            "old": {"id": "ma_S", "currency_code": "EUR", "amount": 1000, "region_id": None}
        },
    }
    await job.process()
    small, large = (await goods.product())["variants"]
    assert small["prices"] == []
    assert [(each["amount"], each["currency_code"]) for each in large["prices"]] == [(1250, "EUR"), (1100, "eur")]


async def test_a_row_without_cells_of_the_part_is_about_the_record_alone(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    await goods.load("Product Handle,Product Title,Variant Title\nstool,Chair,\nbench,Bench,\n")
    assert len((await goods.product())["variants"]) == 2
    assert (await goods.product("bench"))["variants"] == []


async def test_a_list_that_is_not_there_is_one_change(goods: Goods) -> None:
    bare = stool()
    del bare["variants"]
    await goods.services.catalog["products"].insert_one(bare)
    job = await goods.load(table(ROW | SMALL))
    (update,) = goods.lines(job, "PLAN")
    assert "old" not in update["changes"]["variants"]
    found = await goods.product()
    assert [each["title"] for each in found["variants"]] == ["Small"]
    assert found["variants"][0]["created_at"] == found["updated_at"]
    assert found["skus"] == ["S"]


async def test_deleting_is_about_the_record(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    job = await goods.load("Product Handle,Variant Id,_delete\nstool,v_L,TRUE\nstool,v_S,\n")
    assert job.result["outcome"] == {"deleted": 1}
    assert await goods.services.catalog["products"].count_documents({"deleted_at": None}) == 0


async def test_what_is_deleted_is_not_there(goods: Goods) -> None:
    gone = stool()
    gone["variants"][1]["deleted_at"] = "2024"
    await goods.services.catalog["products"].insert_one(gone)
    row = {"Product_Handle": "stool", "Variant_Title": "L", "Variant_SKU": "STOOL-L", **OPTION, "Option_1_Value": "L"}
    await goods.load(table(row))
    found = await goods.product()
    assert len(found["variants"]) == 3
    assert found["skus"] == ["STOOL-S", "STOOL-L"]


BAD = {"Product_Handle": "stool", "Variant_Title": "Bad"} | OPTION


@pytest.mark.parametrize(
    ("rows", "line", "column", "code", "says"),
    [
        (
            [ROW | SMALL, {**ROW, "Product_Title": "Chair"} | LARGE],
            3,
            "Product Title",
            "different_value",
            "line 2 says",
        ),
        ([ROW | SMALL, {**ROW, "Product_Id": "prod_1"} | LARGE], 3, "Product Id", "different_value", "line 2"),
        ([ROW | SMALL, BAD | {"Option_1_Value": "L", "Variant_Stock": "many"}], 3, "Variant Stock", "bad_integer", ""),
        ([ROW | SMALL, BAD | {"Option_1_Value": "L", "Price EUR": "cheap"}], 3, "Price EUR", "bad_value", ""),
        ([ROW | SMALL, BAD | {"Option_1_Value": ""}], 3, None, "missing_value", "no value for Size"),
        (
            [ROW | SMALL, BAD | {"Option_1_Value": "S"}],
            3,
            "Option 1 Value",
            "duplicate_combination",
            "line 2 has the same",
        ),
        (
            [ROW | SMALL, BAD | {"Option_1_Value": "L", "Variant_SKU": "S"}],
            3,
            "Variant SKU",
            "duplicate_value",
            "line 2",
        ),
        (
            [ROW | SMALL, BAD | {"Option_1_Value": "L", "Variant_Id": "v_1"}],
            3,
            "Variant Id",
            "unknown_element",
            "belongs to a product that exists",
        ),
        ([ROW | SMALL, {**ROW, **LARGE, "Variant_Title": ""}], 3, "Variant Title", "missing_value", "needs a value"),
        ([ROW | SMALL, {**ROW, "Variant_Title": "x", "Option_1_Value": "L"}], 3, "Option 1 Value", "missing_name", ""),
    ],
)
async def test_one_bad_row_refuses_its_record_and_the_error_names_the_line(
    goods: Goods, rows: list[dict[str, str]], line: int, column: str | None, code: str, says: str
) -> None:
    other = {"Product_Handle": "lamp", "Product_Title": "Lamp", "Variant_Title": "One"}
    content = table(*rows, other)
    job = await goods.load(content, on_error="skip")
    assert [(error.line, error.column, error.code) for error in job.kept.errors] == [(line, column, code)]
    assert says in job.kept.errors[0].message
    assert [found["handle"] for found in await goods.all("products")] == ["lamp"]
    _, first, second = goods.files.get(job.result["files"]["ERRORS"]).decode().splitlines()
    assert "left out because of line 3" in first
    assert job.kept.errors[0].message.split(",")[0] in second
    strict = goods.job(content, strategy=ProductImport())
    with pytest.raises(RecordsRefused):
        await strict.pre_process()


async def test_a_record_may_be_named_by_its_id_in_one_row_and_by_its_key_in_another(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    content = table(
        {"Product_Id": "prod_stool", "Product_Handle": "stool", "Variant_Id": "v_S", "Variant_Stock": "1"},
        {"Product_Handle": "stool", "Variant_Id": "v_L", "Variant_Stock": "2"},
    )
    await goods.load(content)
    await goods.load(content.replace("prod_stool,stool", "prod_stool,").replace(",stool,", "prod_stool,,"))
    assert [each["stock"] for each in (await goods.product())["variants"]] == [1, 2]


async def test_keep_leaves_out_the_cell_of_an_element_that_exists_and_no_new_element(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    content = table({"Product_Handle": "stool", "Variant_Id": "v_L", "Variant_Stock": "x", "Variant_Title": "Large"})
    job = await goods.load(content, on_error="keep")
    assert job.result["outcome"] == {"updated": 1}
    assert ((await goods.product())["variants"][1]["title"], len(job.kept.errors)) == ("Large", 1)
    new = {"Product_Handle": "stool", "Variant_Title": "N", "Variant_Stock": "x", **OPTION, "Option_1_Value": "XL"}
    job = await goods.load(table(new), on_error="keep")
    assert job.result["outcome"] == {"refused": 1}


async def test_a_record_that_breaks_the_rule_already_may_stay_so_until_its_combinations_are_touched(
    goods: Goods,
) -> None:
    broken = stool()
    broken["variants"][1]["options"] = broken["variants"][0]["options"]
    broken["variants"].append({"id": "v_0", "title": "None", "options": [], "prices": []})
    await goods.services.catalog["products"].insert_one(broken)
    job = await goods.load(await goods.exported())
    assert [line["op"] for line in goods.lines(job, "PLAN")] == ["unchanged"]
    job = await goods.load(table({"Product_Handle": "stool", "Variant_Id": "v_L", "Variant_Stock": "9"}))
    assert job.result["outcome"] == {"updated": 1}
    touched = {"Product_Handle": "stool", "Variant_Id": "v_L", **OPTION, "Option_1_Value": "XL"}
    job = await goods.load(table(touched), on_error="skip")
    assert [error.code for error in job.kept.errors] == ["missing_value"]


async def test_twins_that_the_file_does_not_name_keep_a_new_element_out(goods: Goods) -> None:
    twins = stool()
    twins["variants"][1]["options"] = twins["variants"][0]["options"]
    await goods.services.catalog["products"].insert_one(twins)
    row = {"Product_Handle": "stool", "Variant_Title": "XL", **OPTION, "Option_1_Value": "XL"}
    job = await goods.load(table(row), on_error="skip")
    assert [(error.line, error.code) for error in job.kept.errors] == [(2, "duplicate_combination")]


async def test_a_new_name_needs_a_value_in_every_element(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    colour = {"Product_Handle": "stool", "Option_1_Name": "Colour", "Option_1_Value": "red"}
    job = await goods.load(table(colour | {"Variant_Id": "v_L"}), on_error="skip")
    assert ["which the file does not name" in error.message for error in job.kept.errors] == [True]
    await goods.load(table(colour | {"Variant_Id": "v_L"}, colour | {"Variant_Id": "v_S"}))
    found = await goods.product()
    assert [each["title"] for each in found["options"]] == ["Size", "Colour"]
    assert [each["value"] for each in found["variants"][1]["options"]] == ["L", "red"]


async def test_names_and_values_may_be_a_dict_of_each_element(goods: Goods) -> None:
    content = "Code,Size 1 Name,Size 1 Value,Weight\nA,Width,10,1\nA,Width,20,2\n"
    await goods.run(content, strategy=SignImport())
    again = await goods.run(content.replace("20,2", "20,3"), strategy=SignImport())
    (update,) = goods.lines(again, "PLAN")
    assert [path.rpartition(".")[2] for path in update["changes"]] == ["weight"]
    (sign,) = await goods.all("signs")
    assert [each["size"] for each in sign["plates"]] == [{"Width": "10"}, {"Width": "20"}]
    plate = sign["plates"][1]["id"]
    job = await goods.run(f"Code,Plate Id,Size 1 Name,Size 1 Value\nA,{plate},Width,30\n", strategy=SignImport())
    (update,) = goods.lines(job, "PLAN")
    assert update["changes"] == {f"plates[{plate}].size[Width]": {"old": "20", "new": "30"}}
    assert (await goods.all("signs"))[0]["plates"][1]["size"] == {"Width": "30"}


async def test_a_record_with_too_many_rows_is_told_so(goods: Goods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchbus_strategies.records.staging_rows.MOST_ROWS", 3)
    rows: list[dict[str, Any]] = [ROW | {"Variant_Title": str(n), **OPTION, "Option_1_Value": str(n)} for n in range(4)]
    job = await goods.load(table(*rows), on_error="skip")
    assert [error.code for error in job.kept.errors] == ["too_many_rows"]


async def test_one_record_named_by_its_id_here_and_by_its_key_there_is_told_to_come_twice(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    content = "Product Id,Product Handle,Product Title\nprod_stool,,A\n,stool,B\n"
    job = await goods.load(content, on_error="skip")
    assert [(error.line, error.code) for error in job.kept.errors] == [(3, "duplicate_record")]
    assert (await goods.product())["title"] == "A"

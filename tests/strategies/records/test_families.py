"""Families of columns: what their headers mean, and what is wrong with them."""

from __future__ import annotations

import pytest

from batchbus_strategies import JobRefused
from batchbus_strategies.records import HeaderRefused
from tests.strategies.records.goods import Goods, stool


@pytest.mark.parametrize(
    ("header", "code", "says"),
    [
        ("Price Denmrk [DKK]", "unknown_region", "no regions have the name Denmrk; did you mean Denmark?"),
        ("Price Twin", "ambiguous_region", "2 regions have the name Twin"),
        ("Price Denmark [EUR]", "wrong_currency", "the region Denmark has the currency DKK"),
        ("Price Denmark,Price Denmark [DKK]", "duplicate_column", "which are the same column"),
        ("Prise EUR", "unknown_column", 'unknown column "Prise EUR"'),
        ("Option 1 Name", "missing_column", 'there is no column "Option 1 Value"'),
    ],
)
async def test_a_header_that_leaves_a_doubt_is_refused_with_a_hint(
    goods: Goods, header: str, code: str, says: str
) -> None:
    job = goods.job(f"Product Handle,{header}\nstool,,\n", strategy=goods.importer())
    with pytest.raises(JobRefused) as refused:
        await job.prepare()
    assert says in str(refused.value)
    with pytest.raises(HeaderRefused):
        await job.pre_process()
    assert [error.code for error in job.kept.errors] == [code]


async def test_a_column_changes_adds_or_removes_its_own_element_and_no_other(goods: Goods) -> None:
    product = stool()
    quantity = {"id": "ma_q", "currency_code": "eur", "amount": 900, "min_quantity": 10}
    gone = {"id": "ma_g", "currency_code": "dkk", "amount": 1, "region_id": "reg_dk", "deleted_at": "2024"}
    product["variants"][0]["prices"] += [quantity, gone]
    await goods.services.catalog["products"].insert_one(product)
    await goods.load("Product Handle,Variant Id,Price EUR,Price Denmark\nstool,v_S,,75\nstool,v_L,10,\n")
    small, large = (await goods.product())["variants"]
    assert small["prices"][:2] == [quantity, gone]
    assert (small["prices"][2]["region_id"], small["prices"][2]["amount"]) == ("reg_dk", 7500)
    assert large["prices"] == product["variants"][1]["prices"]


async def test_a_file_maps_its_own_name_to_a_column_of_a_family(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    content = "Product Handle,Variant Id,VK\nstool,v_S,11\n"
    await goods.load(content, columns={"VK": "Price EUR"})
    assert (await goods.product())["variants"][0]["prices"][0]["amount"] == 1100

"""Whatever the values and the format: an export imports as nothing, a plan says exactly the edits, the mended error file
brings exactly the rest, and what was done can be taken back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

import pytest

from batchbus_strategies.tables import Format, WriteOptions
from batchbus_strategies.testing import FakeJob
from tests.long import LONG
from tests.strategies.records.generated import REGIONS, make_products
from tests.strategies.records.goods import Goods, Product
from tests.strategies.records.taking_back import same_apart_from_times, take_back
from tests.strategies.table_files import put_rows, rows_of

SEEDS: Final = range(60 if LONG else 2)
_FORMATS: Final[Sequence[Format]] = ("csv", "xlsx", "jsonl")

Cells = dict[str, str]


@pytest.mark.parametrize("format_", _FORMATS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_edits_with_mistakes_are_right_after_two_uploads(goods: Goods, seed: int, format_: Format) -> None:
    chance = random.Random(seed)
    catalog = goods.services.catalog
    await catalog["regions"].insert_many(deepcopy(list(REGIONS)))
    await catalog["products"].insert_many(make_products(chance, large=LONG and seed == 0))
    before = await goods.all("products")

    exported = await goods.exported(order="Product Title", format=format_)
    again = await goods.load(exported, name=f"again.{format_}")
    assert (again.errors, again.result["outcome"]) == ([], {"unchanged": len(before)})
    assert await goods.all("products") == before

    edits = _Edits(chance, await _rows(goods, exported, format_))
    job = await goods.load(await _file(goods, edits.with_mistakes, format_), name=f"first.{format_}", on_error="skip")
    assert _updated(goods, job) == edits.of - edits.mistaken
    assert job.result["outcome"].get("refused", 0) == len(edits.mistaken)
    if edits.mistaken:
        left = await _rows(goods, goods.files.get(job.result["files"]["ERRORS"]), format_)
        assert {row["Product Id"] for row in left} == edits.mistaken
        rest = await goods.load(await _file(goods, edits.mended(left), format_), name=f"rest.{format_}")
        assert _updated(goods, rest) == edits.mistaken
        await _same_rows(goods, edits.rows, format_)
        await take_back(rest, Product)
    else:
        await _same_rows(goods, edits.rows, format_)
    await take_back(job, Product)
    assert [same_apart_from_times(each) for each in await goods.all("products")] == [
        same_apart_from_times(each) for each in before
    ]


class _Edits:
    """Edits of the rows of an export; some products have a mistake besides."""

    def __init__(self, chance: random.Random, rows: list[Cells]) -> None:
        self.rows = [dict(row) for row in rows]
        """As they should be."""
        self.of: set[str] = set()
        """The ids of the products that are edited."""
        for row in self.rows:
            if chance.random() < 0.5:
                self._edit(chance, row)
        self.mistaken = {each for each in sorted(self.of) if chance.random() < 0.4}
        """The ids of those with a mistake."""
        self.with_mistakes = [dict(row) for row in self.rows]
        self._mistakes: dict[str, tuple[str, str]] = {}
        for product in self.mistaken:
            row = chance.choice([each for each in self.with_mistakes if each["Product Id"] == product])
            column, wrong = chance.choice(
                [("Variant Stock", "many"), ("Price EUR", "1.2.3"), ("Price Kuwait [KWD]", "x")]
            )
            self._mistakes[row["Variant Id"]] = column, row.get(column, "")
            row[column] = wrong

    def _edit(self, chance: random.Random, row: Cells) -> None:
        self.of.add(row["Product Id"])
        for column, value in (
            ("Variant Title", f"{row['Variant Title']}, new"),
            ("Variant Stock", str(int(row["Variant Stock"]) + 1)),
            ("Price JPY", "7"),
            ("Price Kuwait [KWD]", "0.125"),
            ("Variant SKU", f"=new-{row['Variant Id']}"),
        ):
            if row.get(column) != value and chance.random() < 0.6:
                row[column] = value
                break
        else:
            row["Variant Title"] += "!"

    def mended(self, rows: Sequence[Cells]) -> list[Cells]:
        """Those rows with their mistakes put right."""
        return [
            row | dict([self._mistakes[row["Variant Id"]]]) if row["Variant Id"] in self._mistakes else row
            for row in rows
        ]


async def _rows(goods: Goods, content: bytes, format_: Format) -> list[Cells]:
    return await rows_of(goods.files, goods.files.put(f"read.{format_}", content))


async def _file(goods: Goods, rows: Sequence[Cells], format_: Format) -> bytes:
    return goods.files.get(await put_rows(goods.files, "edited", rows, WriteOptions(format=format_)))


async def _same_rows(goods: Goods, rows: Sequence[Cells], format_: Format) -> None:
    """The export is now what was edited."""
    now = await _rows(goods, await goods.exported(order="Product Title", format=format_), format_)
    names = {name for row in [*now, *rows] for name in row}
    assert [{name: row.get(name, "") for name in names} for row in now] == [
        {name: row.get(name, "") for name in names} for row in rows
    ]


def _updated(goods: Goods, job: FakeJob[Any]) -> set[str]:
    return {each["id"] for each in goods.lines(job, "OUTCOME") if each["what"] == "updated"}

"""Money, ids, and what single cells mean."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import DuplicateKeyError

from batchbus_events.ids import JOB_ID, derived_job_id, new_ulid, new_ulids
from batchbus_strategies.catalog.columns import price_column, price_header
from batchbus_strategies.catalog.ids import derived_id, ulids
from batchbus_strategies.catalog.indexes import CatalogInconsistent, ensure_indexes
from batchbus_strategies.catalog.money import MAX_AMOUNT, format_amount, parse_amount
from batchbus_strategies.records.cells import boolean, integer, number
from batchbus_strategies.records.cells import join_values as join_tags
from batchbus_strategies.records.cells import split_values as split_tags

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("10.50", "eur", 1050),
        ("10.5", "eur", 1050),
        ("10", "eur", 1000),
        ("0", "eur", 0),
        (".5", "eur", 50),
        ("1.005", "eur", 101),
        ("1.004999", "eur", 100),
        ("0.285", "usd", 29),
        ("1050", "jpy", 1050),
        ("1050.5", "jpy", 1051),
        ("10.5", "bhd", 10500),
        ("1.2345", "kwd", 1235),
    ],
)
def test_an_amount_is_in_the_minor_unit_rounded_half_up(text: str, currency: str, amount: int) -> None:
    assert parse_amount(text, currency) == amount


@pytest.mark.parametrize(
    "text", ["", "ten", "1,50", "1.234,50", "€1", "-1", "1e3", "nan", "inf", "1_000", "٣", "1.2.3"]
)
def test_what_is_not_an_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(text, "eur")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1050, "eur", "10.5"), (1000, "eur", "10"), (5, "eur", "0.05"), (1050, "jpy", "1050"), (1001, "bhd", "1.001")],
)
def test_an_amount_is_written_as_short_as_possible(amount: int, currency: str, text: str) -> None:
    assert format_amount(amount, currency) == text


@given(st.integers(0, MAX_AMOUNT), st.sampled_from(["eur", "jpy", "bhd", "clf", "xyz"]))
def test_amounts_are_read_back_exactly(amount: int, currency: str) -> None:
    assert parse_amount(format_amount(amount, currency), currency) == amount


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
    | st.integers(-(2**53) + 1, 2**53 - 1)
)
def test_numbers_are_read_back_exactly(value: float) -> None:
    assert number(str(value)) == value


def test_whole_numbers_stay_whole() -> None:
    assert isinstance(number("12"), int) and isinstance(number("12.0"), int)
    assert number("12.5") == float(Decimal("12.5"))
    assert integer("-3") == -3 and integer("4.00") == 4
    assert boolean("True") is True and boolean("fAlSe") is False


@given(st.lists(st.text(min_size=1).filter(lambda tag: tag.strip()), unique=True))
def test_tags_are_read_back_exactly(tags: list[str]) -> None:
    assert split_tags(join_tags(tags)) == tags


def test_tags_are_separated_by_commas_and_count_once() -> None:
    assert split_tags("red, blue,,red ,") == ["red", "blue"]
    assert split_tags('"red, or blue", green') == ["red, or blue", "green"]
    assert split_tags('5" pipe, "half') == ['5" pipe', '"half']


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Price EUR", (None, "eur")),
        ("Price Denmark [DKK]", ("Denmark", "dkk")),
        ("Price Denmark", ("Denmark", None)),
        ("Price The [old] north [SEK]", ("The [old] north", "sek")),
        ("Price", None),
        ("Product Title", None),
    ],
)
def test_price_columns_name_a_region_or_a_currency(header: str, expected: tuple[str | None, str | None] | None) -> None:
    assert price_column(header) == expected


@given(st.text(min_size=1), st.sampled_from(["eur", "dkk"]))
def test_any_region_can_have_a_price_column(region: str, currency: str) -> None:
    assert price_column(price_header(region, currency)) == (region, currency)


def test_ulids_rise_and_are_told_apart() -> None:
    made = [new_ulid(), *new_ulids(5000), new_ulid()]
    source = ulids()
    made += [next(source) for _ in range(3)]
    assert made == sorted(set(made))
    assert all(ULID.fullmatch(ulid) for ulid in made)


def test_a_derived_id_is_the_same_for_the_same_value_only() -> None:
    assert derived_id("ptyp_", "Light") == derived_id("ptyp_", "Light")
    assert len({derived_id("ptyp_", "Light"), derived_id("ptag_", "Light"), derived_id("ptyp_", "light")}) == 3
    assert ULID.fullmatch(derived_id("ptyp_", "Light").removeprefix("ptyp_"))
    assert JOB_ID.fullmatch(derived_job_id("key", "a", "b"))


async def test_handles_skus_and_barcodes_are_unique_in_the_catalogue(
    catalog: AsyncIOMotorDatabase[dict[str, object]],
) -> None:
    await ensure_indexes(catalog)
    await ensure_indexes(catalog)
    products = catalog["products"]
    await products.insert_many(
        [{"_id": "1", "handle": "a", "skus": ["x", "y"]}, {"_id": "2", "handle": "b"}, {"_id": "3", "handle": "c"}]
    )
    for taken in ({"handle": "a"}, {"handle": "d", "skus": ["z", "y"]}):
        with pytest.raises(DuplicateKeyError):
            await products.insert_one(dict(taken))


async def test_a_catalogue_that_breaks_its_own_rules_says_so(
    catalog: AsyncIOMotorDatabase[dict[str, object]],
) -> None:
    await catalog["products"].insert_many([{"_id": "1", "handle": "a"}, {"_id": "2", "handle": "a"}])
    with pytest.raises(CatalogInconsistent, match="the same handle, SKU or barcode"):
        await ensure_indexes(catalog)

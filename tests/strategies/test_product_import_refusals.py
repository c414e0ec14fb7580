"""Files that cannot be imported, or not wholly: what is said about them, and that nothing else happens."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from batchbus_strategies import JobRefused
from batchbus_strategies.testing import FakeJob, RowError
from tests.samples.make_products import CATALOG, product_lines
from tests.strategies.shop import Shop, stool, table, variant

LAMP = variant("lamp", "LAMP-1")


async def said(shop: Shop, content: bytes, **context: object) -> str:
    message, job = await shop.refused(content, **context)
    assert await shop.products() == []
    assert [key for key in shop.files.all_keys() if "PLAN" in key] == []
    assert job.result.get("count") is None
    return message


def places(job: FakeJob[Any]) -> list[tuple[int, str | None, str]]:
    return [(error.line, error.column, error.code) for error in job.errors]


# -- not a product CSV -------------------------------------------------------------------------------------------------


async def test_an_empty_file(shop: Shop) -> None:
    assert await said(shop, b"") == "The file is empty"


async def test_a_header_alone_completes_with_nothing_to_do(shop: Shop) -> None:
    job = await shop.load(b"Product Handle,Product Title,Variant Title\n")
    assert job.result["count"] == job.result["advancement_count"] == 0
    assert await shop.products() == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PK\x03\x04\x14\x00", "The ZIP archive cannot be read"),
        (b"<html><body>Not found</body></html>", "The file is not a CSV but HTML or XML"),
        (b'{"products": []}', 'unknown column "products"'),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "The file is not a CSV: it contains binary data"),
        (
            b"hello\nworld\n",
            'there is no column "Product Handle" nor any other of product files (it begins with "hello")',
        ),
    ],
)
async def test_a_file_that_is_something_else(shop: Shop, content: bytes, expected: str) -> None:
    assert expected in await said(shop, content)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Product Titel", 'unknown column "Product Titel" (did you mean "Product Title"?)'),
        ("variant sku", '"Variant SKU" and "variant sku", which are the same column'),
        ("Option 3 Nmae", 'unknown column "Option 3 Nmae" (did you mean "Option 3 Name"?)'),
        ("Shelf", 'unknown column "Shelf"'),
        ("Price Europa [EUR]", "there is no region named Europa; did you mean Europe?"),
        ("Price Europe [USD]", "the region Europe has the currency EUR, so its column is Price Europe [EUR]"),
        ("Price DENMARK", "2 regions are named DENMARK"),
        ("Option 1 Name", 'there is no column "Option 1 Value"'),
    ],
)
async def test_a_column_that_leaves_a_doubt(shop: Shop, column: str, expected: str) -> None:
    message, job = await shop.refused(table(LAMP | {column: "1"}))
    assert expected in message
    assert [error.line for error in job.errors] == [1]


async def test_a_column_twice(shop: Shop) -> None:
    message = await said(shop, b"Product Handle,Product Title,Product Title\na,b,c\n")
    assert 'there are two columns "Product Title"' in message


async def test_two_columns_for_one_price(shop: Shop) -> None:
    row = variant("lamp", "1", **{"Price Europe": "1", "Price Europe [EUR]": "2"})
    assert 'columns "Price Europe" and "Price Europe [EUR]" are for the same price' in await said(shop, table(row))


async def test_every_doubtful_column_is_named_at_once(shop: Shop) -> None:
    message, job = await shop.refused(table({"Product Titel": "a", "Shelf": "b", "Variant SKU": "c"}))
    assert message.count("unknown column") == 2
    assert 'there is no column "Product Handle"' in message
    assert {error.code for error in job.errors} == {"unknown_column", "missing_column"}


# -- spellings of a CSV that are all right -----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
async def test_any_common_spelling_is_imported(shop: Shop, encoding: str, delimiter: str, line_end: str) -> None:
    text = table(
        variant("würfel", "W-1", Product_Title="Würfel, groß"), delimiter=delimiter, line_end=line_end
    ).decode()
    await shop.load(text.encode(encoding))
    assert (await shop.product("würfel"))["title"] == "Würfel, groß"


async def test_encoding_and_delimiter_can_be_given(shop: Shop) -> None:
    await shop.load(table(variant("würfel"), delimiter="|").decode().encode("cp850"), encoding="cp850", delimiter="|")
    assert await shop.product("würfel")


@pytest.mark.parametrize("encoding", ["hex", "base64", "zlib", "bz2", "undefined", "uu", "quopri", "utf-99", ""])
async def test_an_encoding_that_is_none_of_text_is_refused_before_there_is_a_job(shop: Shop, encoding: str) -> None:
    job = shop.job(table(LAMP), encoding=encoding)
    with pytest.raises(JobRefused, match=r"encoding: .*There is no text encoding .*there are utf-8") as refused:
        await job.prepare()
    assert refused.value.field == "encoding"


async def test_a_file_that_cannot_be_decoded_is_refused_with_line_and_byte(shop: Shop) -> None:
    content = table(LAMP, variant("b")) + b"\xff,c\n"
    message = await said(shop, content, encoding="utf-8")
    assert message.startswith(f"Line 4: the byte 0xFF, the file's byte {len(content) - 3:,}, is not text")


_CYRILLIC = "Product Handle,Product Title,Variant Title,Variant SKU\nmug-x1,Кружка,Большая,x1-A\n"


async def test_cyrillic_in_an_encoding_of_windows_makes_no_garbage(shop: Shop) -> None:
    await shop.load(_CYRILLIC.encode("cp1251"))
    assert (await shop.product("mug-x1"))["title"] == "Кружка"


async def test_one_byte_of_another_encoding_spoils_no_titles(shop: Shop) -> None:
    rows = ["Product Handle,Product Title,Variant Title,Variant SKU", "a-x1,Caf\udce9,One,x1-A", "b-x1,Würfel,One,x1-B"]
    message = await said(shop, "\n".join([*rows, "c-x1,Schlüssel,One,x1-C", ""]).encode("utf-8", "surrogateescape"))
    assert message.startswith("Line 2: the byte 0xE9, the file's byte 64, is not text in the encoding utf-8")


async def test_a_header_in_the_middle_is_passed_over(shop: Shop) -> None:
    first, second = table(variant("a", "A-1")), table(variant("b", "B-1"))
    await shop.load(first + b"\xef\xbb\xbf" + second)
    assert [product["handle"] for product in await shop.products()] == ["a", "b"]


async def test_near_names_are_looked_for_only_for_the_columns_that_are_shown(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for = []

    def get_close_matches(word: str, *arguments: object, **options: object) -> list[str]:
        looked_for.append(word)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", get_close_matches)
    unknown = [f"Price Region {n}" if n % 2 else f"Product Titel {n}" for n in range(1900)]
    message = await said(shop, ("Product Handle," + ",".join(unknown) + "\n").encode())
    assert message.endswith("; and 1895 more")
    assert len(looked_for) <= 5


async def test_spaces_around_column_names_do_not_matter(shop: Shop) -> None:
    await shop.load(b" Product Handle ,Product Title,Variant Title \nlamp,Lamp,One\n")
    assert await shop.product("lamp")


# -- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "code", "reason"),
    [
        ("Product Weight", "heavy", "bad_number", "not a number"),
        ("Product Weight", "1,5", "bad_number", "not a number"),
        ("Product Weight", "nan", "bad_number", "not a number"),
        ("Product Weight", "1e99", "bad_number", "too large"),
        ("Variant Inventory Quantity", "1.5", "bad_integer", "not a whole number"),
        ("Variant Allow Backorder", "yes", "bad_boolean", "neither TRUE nor FALSE"),
        ("Product Status", "sold", "bad_status", "not one of draft, proposed, published, rejected"),
        ("Price USD", "ten", "bad_amount", "not an amount"),
        ("Price USD", "-1", "bad_amount", "not an amount"),
        ("Price Europe [EUR]", "€ 3", "bad_amount", "not an amount"),
        ("Price Europe [EUR]", "9" * 20, "bad_amount", "too large"),
        ("Product Collection Handle", "winter", "unknown_collection", "no collection with this handle"),
        ("Product Category 1 Handle", "cellar", "unknown_category", "no category with this handle"),
        ("Product Handle", " ", "missing_handle", "every row needs a handle"),
        ("Product Title", "", "missing_title", "a new product needs a title"),
        ("Variant Title", "", "missing_title", "a new variant needs a title"),
        ("Product Id", "prod_nope", "unknown_product", "no product with this id"),
        ("Variant Id", "variant_nope", "unknown_variant", "belongs to a product that exists"),
    ],
)
async def test_a_cell_that_cannot_be_used_is_named_with_its_place(
    shop: Shop, column: str, cell: str, code: str, reason: str
) -> None:
    message, job = await shop.refused(table(variant("bowl", "BOWL-1") | {column: ""}, LAMP | {column: cell}))
    errors = [error for error in job.errors if error.line == 3]
    assert [(error.line, error.column, error.code) for error in errors] == [(3, column, code)]
    assert reason in errors[0].message
    assert await shop.products() == []
    assert f'column "{column}"' in message


async def test_a_bad_number_in_row_4321_of_many(shop: Shop) -> None:
    for collection, documents in CATALOG.items():
        await shop.catalog[collection].delete_many({})
        await shop.catalog[collection].insert_many([dict(document) for document in documents])
    lines = list(product_lines(5000, seed=2))
    place = next(n for n, line in enumerate(lines[4320:], 4320) if ",Colour," in line)
    before = "".join(lines[:place])
    lines[place] = lines[place].replace(",Colour,", "x,Colour,", 1)

    message, job = await shop.refused("".join(lines).encode())

    line = before.count("\n") + 1
    assert places(job) == [(line, "Price USD", "bad_amount")]
    assert message.startswith(f'1 row cannot be imported: line {line}, column "Price USD", value "')


async def test_a_row_with_too_few_or_too_many_cells(shop: Shop) -> None:
    content = b"Product Handle,Product Title,Variant Title\na,A,One\nb,B\nc,C,One,more\nd,D,One,,\n"
    _, job = await shop.refused(content)
    assert job.errors == [
        RowError(3, None, "ragged_row", "the row has 2 cells, the header has 3", None),
        RowError(4, None, "ragged_row", "the row has 4 cells, the header has 3", None),
    ]


async def test_a_file_that_stops_being_a_csv(shop: Shop) -> None:
    content = b'Product Handle,Product Title,Variant Title\na,A,One\n"b"b,B,One\n'
    assert (await said(shop, content)).startswith("Line 3: this is not CSV")


async def test_a_cell_of_ten_megabytes(shop: Shop) -> None:
    content = table(variant("a"), variant("b", Product_Title="x" * 10 * 1024 * 1024))
    assert 'Line 3, column "Product Title": a cell may have 1,048,576 characters' in await said(shop, content)


async def test_an_option_without_name_and_one_named_twice(shop: Shop) -> None:
    options = {"Option 1 Name": "Size", "Option 1 Value": "L", "Option 2 Name": "Size", "Option 2 Value": "M"}
    nameless = {"Option 1 Name": "", "Option 1 Value": "L", "Option 2 Name": "", "Option 2 Value": ""}
    _, job = await shop.refused(table(variant("a", "1") | options, variant("b", "2") | nameless))
    assert places(job) == [
        (2, "Option 2 Name", "duplicate_option"),
        (3, "Option 1 Value", "option_without_name"),
    ]


async def test_a_product_that_no_document_can_hold(shop: Shop) -> None:
    rows = [variant("a", str(n), Variant_Material="x" * 100_000) for n in range(140)]
    _, job = await shop.refused(table(*rows))
    assert places(job) == [(2, None, "product_too_large")]


# -- the same thing twice ----------------------------------------------------------------------------------------------


async def test_a_sku_or_barcode_twice_in_the_file(shop: Shop) -> None:
    _, job = await shop.refused(
        table(
            variant("a", "SAME", Variant_Barcode="1"),
            variant("b", "OTHER", Variant_Barcode="1"),
            variant("a", "SAME", Variant_Barcode="2"),
            variant("c", "SAME", Variant_Barcode="3"),
        )
    )
    assert places(job) == [
        (3, "Variant Barcode", "duplicate_barcode"),
        (4, "Variant SKU", "duplicate_sku"),
        (5, "Variant SKU", "duplicate_sku"),
    ]
    assert [error.message for error in job.errors] == ["line 2 has it already"] * 3


async def test_an_id_twice_in_the_file(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Variant Id": "variant_stool_l", "Product Title": "Stool"}
    _, job = await shop.refused(
        table(
            row | {"Product Handle": "stool"},
            row | {"Product Handle": "stool"},
            row | {"Product Handle": "other", "Variant Id": "", "Variant Title": "x"},
        )
    )
    assert places(job) == [(3, "Variant Id", "duplicate_id"), (4, "Product Id", "duplicate_product")]


async def test_rows_of_one_product_with_different_ids(shop: Shop) -> None:
    _, job = await shop.refused(table(variant("a", "1", Product_Id="prod_1"), variant("a", "2", Product_Id="prod_2")))
    assert (3, "Product Id", "conflicting_id") in places(job)


async def test_importing_the_same_new_products_again(shop: Shop) -> None:
    file = table(variant("lamp", "LAMP-1"), variant("bowl", "BOWL-1"))
    await shop.load(file)
    message, job = await shop.refused(file)
    lamp = await shop.product("lamp")
    assert places(job) == [(2, "Product Handle", "handle_taken"), (3, "Product Handle", "handle_taken")]
    assert message == (
        f'2 rows cannot be imported; the first: line 2, column "Product Handle", value "lamp": the product {lamp["_id"]} '
        "in the catalogue has it; to update that one, give its id as Product Id"
    )


async def test_a_sku_of_another_product_in_the_catalogue(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    _, job = await shop.refused(table(variant("lamp", "STOOL-L")))
    assert job.errors == [
        RowError(2, "Variant SKU", "sku_taken", "the product prod_stool in the catalogue has it", "STOOL-L")
    ]


async def test_a_sku_of_another_variant_of_the_same_product(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    _, job = await shop.refused(table(variant("stool", "STOOL-L", Product_Id="prod_stool")))
    assert places(job) == [(2, "Variant SKU", "sku_taken")]


async def test_an_option_or_variant_that_the_product_does_not_have(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Product Title": "Stool", "Variant Title": "x"}
    _, job = await shop.refused(
        table(
            row | {"Option 1 Name": "Colour", "Option 1 Value": "red", "Variant Id": "variant_stool_l"},
            row | {"Option 1 Name": "Size", "Option 1 Value": "M", "Variant Id": "variant_other"},
        )
    )
    assert places(job) == [(2, None, "unknown_option"), (3, "Variant Id", "unknown_variant")]


# -- skipping, and giving up -------------------------------------------------------------------------------------------


async def test_bad_rows_are_left_out_if_so_asked(shop: Shop) -> None:
    job = await shop.load(
        table(
            variant("a", "A-1", Price_USD="1"),
            variant("a", "A-2", Price_USD="ten"),
            variant("b", "B-1", Price_USD="3"),
            variant("b", "A-1", Price_USD="4"),
        ),
        on_error="skip",
    )
    assert places(job) == [(3, "Price USD", "bad_amount"), (5, "Variant SKU", "duplicate_sku")]
    assert {product["handle"]: product["skus"] for product in await shop.products()} == {"a": ["A-1"], "b": ["B-1"]}
    assert job.result["count"] == job.result["advancement_count"] == 4


async def test_a_product_whose_own_cells_are_bad_is_left_out_with_all_its_rows(shop: Shop) -> None:
    job = await shop.load(
        table(
            variant("a", "A-1", Product_Weight="heavy"),
            variant("b", "B-1", Product_Weight="1"),
            variant("a", "A-2", Product_Weight="2"),
            variant("c", "C-1", Product_Weight="", Product_Id="prod_nope"),
            variant("c", "C-2", Product_Weight=""),
        ),
        on_error="skip",
    )
    assert [product["handle"] for product in await shop.products()] == ["b"]
    assert places(job) == [
        (2, "Product Weight", "bad_number"),
        (4, None, "product_left_out"),
        (5, "Product Id", "unknown_product"),
        (6, None, "product_left_out"),
    ]


async def test_after_enough_errors_the_import_gives_up(shop: Shop) -> None:
    rows = [variant(f"p-{n}", f"S-{n}", Price_USD="ten") for n in range(20)]
    for on_error in ("abort", "skip"):
        message, job = await shop.refused(table(*rows), max_errors=5, on_error=on_error)
        assert message.startswith("There are too many errors: 5 rows cannot be imported; the first: line 2")
        assert len(job.errors) == 5


async def test_values_in_messages_are_short_and_printable(shop: Shop) -> None:
    _, job = await shop.refused(table(variant("a", "1", Price_USD="x\n\x1b" * 1000)))
    value = job.errors[0].value
    assert value is not None and len(value) <= 80
    assert value.startswith("x\\n\\x1bx")

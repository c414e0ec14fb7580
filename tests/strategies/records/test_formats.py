"""The same records in every format that a file may have."""

from __future__ import annotations

import csv
import gzip
import io

import pytest

from tests.strategies.records.customers import Customers
from tests.strategies.table_files import ods, ods_row

CSV = "Email,First Name,VAT\nada@example.com,Ada,0012\nbob@example.com,Bøb,\n"


@pytest.mark.parametrize(
    ("name", "content", "facts"),
    [
        ("c.csv", CSV.encode(), {"format": "csv", "encoding": "utf-8", "delimiter": ","}),
        ("c.csv", CSV.replace(",", ";").encode("utf-16"), {"delimiter": ";"}),
        ("c.tsv", CSV.replace(",", "\t").encode(), {"format": "tsv", "delimiter": "\t"}),
        ("c.csv.gz", gzip.compress(CSV.encode(), mtime=0), {"compression": "gzip"}),
        (
            "c.jsonl",
            '{"Email":"ada@example.com","First Name":"Ada","VAT":"0012"}\n{"First Name":"Bøb","Email":"bob@example.com"}'.encode(),
            {"format": "jsonl"},
        ),
        (
            "c.json",
            '[{"Email":"ada@example.com","First Name":"Ada","VAT":"0012"},\n{"First Name":"Bøb","Email":"bob@example.com"}]'.encode(),
            {"format": "json"},
        ),
    ],
)
async def test_a_file_of_any_format_is_the_same_records_and_the_plan_says_what_was_found(
    customers: Customers, name: str, content: bytes, facts: dict[str, str]
) -> None:
    job = await customers.run(content, name=name)
    found = {one["email"]: (one["first_name"], one.get("vat")) for one in await customers.all()}
    assert found == {"ada@example.com": ("Ada", "0012"), "bob@example.com": ("Bøb", None)}
    assert job.result["table"].items() >= facts.items()


async def test_in_json_null_clears_and_a_key_that_is_not_there_leaves_as_it_is(customers: Customers) -> None:
    await customers.run("Email,First Name,City\nada@example.com,Ada,London\n")
    await customers.run('{"Email":"ada@example.com","First Name":null}\n', name="c.jsonl")
    (ada,) = await customers.all()
    assert (ada["first_name"], ada["address"]["city"]) == (None, "London")


async def test_a_cell_that_no_xlsx_can_hold_is_in_an_error_file_of_csv(customers: Customers) -> None:
    long = "=" + "x" * 40_000
    header, wrong = ods_row("Email", "First Name", "Status"), ods_row("ada@example.com", long, "perhaps")
    content = ods(header + wrong + ods_row("bob@example.com", "Bob", ""))
    job = await customers.run(content, on_error="skip", name="c.ods")
    assert [each["email"] for each in await customers.all()] == ["bob@example.com"]
    key = job.result["files"]["ERRORS"]
    assert key.endswith("-errors.csv")
    found = customers.files.get(key)
    assert found.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(found.decode("utf-8-sig"), newline=""))
    assert row["First Name"] == "'" + long, "a spreadsheet runs nothing of it"
    await customers.run(found.replace(b"perhaps", b"active"), name="mended.csv")
    assert (await customers.by_email())["ada@example.com"]["first_name"] == long

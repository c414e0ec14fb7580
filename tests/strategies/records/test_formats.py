"""The same records in every format that a file may have."""

from __future__ import annotations

import gzip

import pytest

from tests.strategies.records.customers import Customers

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

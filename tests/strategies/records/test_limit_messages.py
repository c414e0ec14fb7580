"""What a limit asks for is said in a sentence, and never as a pattern."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field

from batchbus_strategies.records import Column, Key, Record, RecordImport
from tests.strategies.records.customers import Customers


def even(value: int) -> int:
    if value % 2:
        raise ValueError("shelves come in pairs")
    return value


class Rack(Record, collection="racks"):
    code: Annotated[str, Key("Code"), Field(pattern="^[A-Z]{2}$", description="two capitals", examples=["AB"])]
    note: Annotated[str | None, Column("Note"), Field(pattern="^x", examples=[""])] = None
    name: Annotated[str | None, Column("Name"), Field(min_length=2, max_length=4)] = None
    size: Annotated[int | None, Column("Size"), Field(ge=1, le=9)] = None
    load: Annotated[float | None, Column("Load"), Field(gt=0, lt=10, multiple_of=0.5)] = None
    shelves: Annotated[int | None, Column("Shelves"), AfterValidator(even)] = None


class RackImport(RecordImport[Rack]):
    batch_type = "rack-import"


async def message(customers: Customers, **cells: Any) -> str:
    row = {"Code": "AB", **cells}
    job = customers.job(",".join(row) + "\n" + ",".join(row.values()) + "\n", strategy=RackImport(), on_error="skip")
    await job.pre_process()
    (line,) = customers.lines(job, "PLAN")
    ((error,)) = line["errors"]
    return str(error["message"])


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("Code", "abc", "it is not in the form that it has to have: two capitals, such as AB"),
        ("Note", "y", "it is not in the form that it has to have"),
        ("Name", "a", "it has to have 2 characters or more"),
        ("Name", "abcde", "it may have 4 characters at most"),
        ("Size", "0", "it has to be 1 or more"),
        ("Size", "10", "it has to be 9 or less"),
        ("Load", "0", "it has to be more than 0"),
        ("Load", "10", "it has to be less than 10"),
        ("Load", "0.3", "it has to be a multiple of 0.5"),
        ("Shelves", "3", "shelves come in pairs"),
    ],
)
async def test_a_limit_says_what_it_asks_for(customers: Customers, column: str, cell: str, says: str) -> None:
    assert await message(customers, **{column: cell}) == says

"""Fields that hold several references, whose cell names them one after the other."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from batchbus_strategies import Json, Services
from batchbus_strategies.records import Key, Record, RecordImport, Reference
from batchbus_strategies.testing import FakeJob, LocalFiles


class Book(Record, collection="books", id_prefix="book_"):
    title: Annotated[str, Key("Title")]
    authors: Annotated[list[str], Reference("people", by="name", column="Authors")] = Field(default_factory=list)
    subjects: Annotated[
        list[str], Reference("subjects", by="name", column="Subjects", missing="create", prefix="sub_")
    ] = Field(default_factory=list)
    shelves: Annotated[list[str], Reference("shelves", by="name", column="Shelves", missing="skip")] = Field(
        default_factory=list
    )


class BookImport(RecordImport[Book]):
    batch_type = "book-import"


@pytest.fixture
async def library(services: Services) -> Services:
    await services.catalog["people"].insert_many([{"_id": "p1", "name": "Ada"}, {"_id": "p2", "name": "Love, lace"}])
    await services.catalog["shelves"].insert_one({"_id": "s1", "name": "A"})
    return services


async def imported(services: Services, rows: str, **context: Json) -> FakeJob[Any]:
    assert isinstance(services.files, LocalFiles)
    key = services.files.put("uploads/b.csv", f"Title,Authors,Subjects,Shelves\n{rows}\n".encode())
    job: FakeJob[Any] = FakeJob(BookImport(), {"fileKey": key, **context}, services)
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


async def test_each_name_is_looked_up_created_or_skipped(library: Services) -> None:
    job = await imported(library, 'One,"""Love, lace"",Ada","Sums,Looms","A,B"\nTwo,Ada,Sums,')
    one, two = await library.catalog["books"].find({}, sort=[("title", 1)]).to_list(None)
    subjects = {each["name"]: each["_id"] async for each in library.catalog["subjects"].find({})}
    assert one["authors"] == ["p2", "p1"]
    assert one["subjects"] == [subjects["Sums"], subjects["Looms"]]
    assert (one["shelves"], two["shelves"]) == (["s1"], [])
    assert two["subjects"] == [subjects["Sums"]]
    assert job.result["operations"]["reference"] == 2
    assert job.result["warnings"] == ["Shelves: there is no B; it was skipped"]


async def test_an_empty_cell_takes_all_of_them_away(library: Services) -> None:
    await imported(library, "One,Ada,,A")
    await imported(library, "One,,,")
    (one,) = await library.catalog["books"].find({}).to_list(None)
    assert (one["authors"], one["shelves"]) == ([], [])


async def test_one_name_that_is_not_there_is_an_error_that_says_which(library: Services) -> None:
    job = await imported(library, 'One,"Ada,Eve",,', on_error="skip")
    (error,) = job.errors
    assert (error.code, error.column, error.value) == ("unknown_reference", "Authors", "Ada,Eve")
    assert error.message == "Eve: there is none of people with this name"

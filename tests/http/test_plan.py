"""Plans: what a dry run would do, in pages, whoever wrote the strategy and however long the plan is."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_core import from_json

from batchbus_service.storage.line_index import LineFilter, LinePages
from batchbus_strategies.testing import LocalFiles
from tests.http.conftest import Person, Site

CSV = "Product Handle,Product Title,Variant Title,Variant SKU\nbowl,Oak bowl,Small,BOWL-S\ncup,Cup,One,CUP-1\n"


async def planned(person: Person, **context: Any) -> str:
    job = await person.create("planned", context, dry_run=True)
    await person.until(job["id"], "batch.pre_processed")
    return f"/admin/batch-jobs/{job['id']}/plan"


async def test_a_plan_is_told_row_by_row_in_pages(ann: Person) -> None:
    path = await planned(ann, rows=250)
    first = (await ann.http.get(path)).json()
    assert (len(first["plan"]), first["count"], first["offset"], first["limit"]) == (100, 250, 0, 100)
    last = (await ann.http.get(path, params={"offset": 240, "limit": 20})).json()
    assert [row["row"] for row in last["plan"]] == list(range(240, 250))
    beyond = (await ann.http.get(path, params={"offset": 250})).json()
    assert (beyond["plan"], beyond["count"]) == ([], 250)


async def test_an_imports_plan_says_what_will_be_written(ann: Person) -> None:
    key = await ann.upload(CSV.encode(), "products.csv")
    job = await ann.create("product-import", {"fileKey": key}, dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    told = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/plan")).json()
    assert [(row["op"], row["line"], row["product"]["title"]) for row in told["plan"]] == [
        ("create", 2, "Oak bowl"),
        ("create", 3, "Cup"),
    ]


async def test_a_plan_that_plans_nothing_has_no_rows(ann: Person) -> None:
    told = (await ann.http.get(await planned(ann, rows=0))).json()
    assert (told["plan"], told["count"]) == ([], 0)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1.5", "offset=-1", "offset=99999999999999999999"]
)
async def test_a_page_that_cannot_be_is_refused(ann: Person, query: str) -> None:
    refused = await ann.http.get(f"{await planned(ann, rows=1)}?{query}")
    assert (refused.status_code, refused.json()["type"]) == (400, "invalid_data")


async def test_there_is_a_reason_why_there_is_no_plan(ann: Person, bob: Person, site: Site) -> None:
    async def told(job_id: str, person: Person = ann) -> tuple[int, str]:
        answer = await person.http.get(f"/admin/batch-jobs/{job_id}/plan")
        return answer.status_code, answer.json()["message"]

    assert await told("batch_unknown") == (404, "Batch job with id batch_unknown was not found")

    without = await ann.create("gated", dry_run=True)
    await ann.until(without["id"], "batch.pre_processed")
    assert await told(without["id"]) == (404, "There is no plan: jobs of the type gated make none")
    assert await told(without["id"], bob) == (
        400,
        "Cannot access a batch job that does not belong to the logged in user",
    )

    refused = await ann.create("product-import", {"fileKey": await ann.upload(b"Nonsense\n1\n")}, dry_run=True)
    await ann.until(refused["id"], "batch.failed")
    assert await told(refused["id"]) == (404, "There is no plan: the job is failed, and was not pre-processed before")

    gone = await ann.create("planned", {"rows": 1}, dry_run=True)
    await ann.until(gone["id"], "batch.pre_processed")
    key = (await ann.job(gone["id"]))["result"]["steps"]
    await site.service.files.delete(key)
    assert await told(gone["id"]) == (404, f"The plan of {gone['id']} is not in the file store any more")


async def test_a_job_that_waits_for_its_preview_has_no_plan_yet(ann: Person, site: Site) -> None:
    held = [await site.service.worker.permit_for("planned", "usr_somebody") for _ in range(2)]  # type: ignore[union-attr]
    try:
        job = await ann.create("planned", {"rows": 1}, dry_run=True)
        answer = await ann.http.get(f"/admin/batch-jobs/{job['id']}/plan")
        assert (answer.status_code, answer.json()["message"]) == (
            404,
            "There is no plan yet: the job is still to be pre-processed",
        )
    finally:
        for permit in held:
            assert permit
            permit.release()
    await ann.until(job["id"], "batch.pre_processed")


# -- plans of records ----------------------------------------------------------------------------------------------

ARTICLES = "Number,Name,Price\nA-1,Oak bowl,24.90\nB-2,=Cup,5\nB-3,Plate,free\n"


NO_AMOUNT = "not an amount: write it like 1234.50, without currency signs and thousands separators"


async def imported(person: Person, content: str, *, dry_run: bool = True, **context: Any) -> str:
    key = await person.upload(content.encode(), "articles.csv")
    job = await person.create("article-import", {"fileKey": key, "on_error": "skip", **context}, dry_run=dry_run)
    await person.until(job["id"], "batch.pre_processed" if dry_run else "batch.completed")
    return f"/admin/batch-jobs/{job['id']}"


async def lines_of(person: Person, path: str, **params: str) -> list[list[str]]:
    answer = await person.http.get(path, params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), answer.text
    return list(csv.reader(io.StringIO(answer.text)))


async def test_a_plan_can_be_asked_for_by_kind_and_by_key(ann: Person) -> None:
    path = await imported(ann, ARTICLES)
    told = (await ann.http.get(f"{path}/plan")).json()
    assert (told["count"], told["counts"]["create"], told["counts"]["error"]) == (3, 2, 1)
    assert told["plan_digest"] == (await ann.job(path.rpartition("/")[2]))["result"]["plan_digest"]

    async def keys(**params: str) -> tuple[int, list[list[str]]]:
        page = (await ann.http.get(f"{path}/plan", params=params)).json()
        return page["count"], [row["key"] for row in page["plan"]]

    assert await keys(kind="create") == (2, [["A-1"], ["B-2"]])
    assert await keys(kind="create", offset="1", limit="1") == (2, [["B-2"]])
    assert await keys(q="b-") == (2, [["B-2"], ["B-3"]])
    assert await keys(kind="error", q="b-") == (1, [["B-3"]])
    assert await keys(kind="delete") == await keys(q="bowl") == (0, [])
    for refused in ("kind=Create", "kind=", "q="):
        assert (await ann.http.get(f"{path}/plan?{refused}")).status_code == 400


async def test_a_plan_can_be_fetched_as_a_file(ann: Person, bob: Person) -> None:
    await imported(ann, "Number,Name,Price\nA-1,Bowl,22.90\n", dry_run=False)
    path = await imported(ann, ARTICLES)
    assert await lines_of(ann, f"{path}/plan/download") == [
        ["line", "key", "op", "field", "old", "new", "message"],
        ["2", "A-1", "update", "name", "Bowl", "Oak bowl", ""],
        ["2", "A-1", "update", "price", "2290", "2490", ""],
        ["3", "B-2", "create", "number", "", "B-2", ""],
        ["3", "B-2", "create", "name", "", "'=Cup", ""],
        ["3", "B-2", "create", "price", "", "500", ""],
        ["4", "B-3", "error", "Price", "", "free", "line 4: " + NO_AMOUNT],
    ]
    assert [line[1] for line in await lines_of(ann, f"{path}/plan/download", kind="update")] == ["key", "A-1", "A-1"]
    whole = await ann.http.get(f"{path}/plan/download", params={"format": "jsonl"})
    some = await ann.http.get(f"{path}/plan/download", params={"format": "jsonl", "kind": "error"})
    rows = [from_json(line) for line in whole.content.splitlines()]
    assert rows == (await ann.http.get(f"{path}/plan")).json()["plan"]
    assert [from_json(line) for line in some.content.splitlines()] == rows[2:]
    assert (await bob.http.get(f"{path}/plan/download")).status_code == 400
    assert (await ann.http.get(f"{path}/plan/download?format=xlsx")).status_code == 400


async def test_rows_of_another_form_are_searched_and_fetched_as_they_are(ann: Person) -> None:
    path = await planned(ann, rows=12)
    told = (await ann.http.get(path, params={"q": '"row":1'})).json()
    assert ([row["row"] for row in told["plan"]], told["counts"], told["plan_digest"]) == ([1, 10, 11], None, None)
    assert (await lines_of(ann, f"{path}/download"))[1:3] == [
        ["", "", "", "row", "", "0", ""],
        ["", "", "", "pad", "", "", ""],
    ]


async def test_what_became_of_each_record_can_be_asked_for_by_key(ann: Person, bob: Person) -> None:
    path = await imported(ann, ARTICLES.replace("A-", "C-").replace("B-", "D-"))
    told = await ann.http.get(f"{path}/outcome")
    assert (told.status_code, told.json()["message"]) == (
        404,
        "There is no outcome yet: the job is still to be carried out",
    )
    await ann.http.post(f"{path}/confirm")
    await ann.until(path.rpartition("/")[2], "batch.completed")
    told = await ann.http.get(f"{path}/outcome")
    assert (told.json()["count"], told.json()["counts"]) == (3, {"created": 2, "refused": 1})
    (one,) = (await ann.http.get(f"{path}/outcome", params={"key": "D-2"})).json()["outcome"]
    assert (one["what"], one["line"], one["key"]) == ("created", 3, ["D-2"])
    (one,) = (await ann.http.get(f"{path}/outcome", params={"what": "refused"})).json()["outcome"]
    assert one["key"] == ["D-3"] and NO_AMOUNT in one["reason"]
    assert (await ann.http.get(f"{path}/outcome", params={"key": "D"})).json()["count"] == 0
    lines = await lines_of(ann, f"{path}/outcome/download", what="refused")
    assert [line[:4] for line in lines] == [["line", "key", "what", "id"], ["4", "D-3", "refused", ""]]
    assert (await bob.http.get(f"{path}/outcome")).status_code == 400
    without = await ann.create("gated", dry_run=True)
    told = await ann.http.get(f"/admin/batch-jobs/{without['id']}/outcome")
    assert told.status_code == 404


# -- pages of a file -----------------------------------------------------------------------------------------------


class Counted(LocalFiles):
    """Files that count the bytes read from them."""

    bytes_read = 0

    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        async for piece in super().read(key, start=start):
            self.bytes_read += len(piece)
            yield piece


async def test_a_page_far_into_a_file_reads_little_more_than_itself(tmp_path: Any) -> None:
    lines = [b"%d %s" % (n, b"x" * (n % 700)) for n in range(50_000)]
    files = Counted(tmp_path)
    key = files.put("plan", b"".join(line + b"\n" for line in lines))
    pages = LinePages(files)
    assert (await pages.page(key, offset=0, limit=1)).count == 50_000
    for offset in (0, 1, 749, 750, 20_000, 49_990, 49_999):
        files.bytes_read = 0
        page = await pages.page(key, offset=offset, limit=100)
        assert page.lines == lines[offset : offset + 100]
        assert files.bytes_read < 500_000


async def test_a_page_of_few_wanted_lines_passes_over_what_lies_between(tmp_path: Any) -> None:
    lines = [b"%d %s" % (n, b"x" * 400) for n in range(50_000)]
    files = Counted(tmp_path)
    key = files.put("plan", b"".join(line + b"\n" for line in lines))
    pages = LinePages(files)
    rare = LineFilter("rare", lambda line: line.split()[0].endswith(b"00000"))
    wanted = [line for line in lines if rare.lets_through(line)]
    assert await pages.page(key, offset=0, limit=9, only=rare) == await pages.page(key, offset=0, limit=9, only=rare)
    even = LineFilter("even", lambda line: int(line.split()[0]) % 2 == 0)
    assert (await pages.page(key, offset=0, limit=1, only=even)).count == 25_000
    assert wanted == (await pages.page(key, offset=0, limit=9, only=rare)).lines
    for offset in (0, 1, 750, 20_000, 24_950, 24_999):
        files.bytes_read = 0
        page = await pages.page(key, offset=offset, limit=100, only=even)
        assert page.lines == lines[::2][offset : offset + 100]
        assert files.bytes_read < 500_000
    files.bytes_read = 0
    assert (await pages.page(key, offset=1, limit=9, only=rare)).lines == wanted[1:]
    assert files.bytes_read < 500_000


@pytest.mark.parametrize("every", [1, 2, 7])
async def test_every_wanted_line_is_on_some_page_once(tmp_path: Any, every: int) -> None:
    lines = [b"%d %s" % (n, b"x" * (n * 7919 % 3000)) for n in range(1500)]
    files = LocalFiles(tmp_path)
    key = files.put("plan", b"\n".join(lines))
    only = LineFilter("some", lambda line: int(line.split()[0]) % every == 0)
    pages = LinePages(files)
    found: list[bytes] = []
    while (page := await pages.page(key, offset=len(found), limit=64, only=only)).lines:
        found += page.lines
    assert found == lines[::every]
    assert page.count == len(found)


@pytest.mark.parametrize("text", [b"", b"\n", b"one", b"one\n", b"one\ntwo", b"\n\n\n", b"x" * 200_000 + b"\ntwo\n"])
async def test_every_line_of_a_file_is_on_some_page_once(tmp_path: Any, text: bytes) -> None:
    files = LocalFiles(tmp_path)
    pages = LinePages(files)
    key = files.put("plan", text)
    expected = text.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found: list[bytes] = []
    while (page := await pages.page(key, offset=len(found), limit=2)).lines:
        found += page.lines
        assert page.count == len(expected)
    assert found == expected


async def test_a_page_of_enormous_lines_ends_early_and_the_next_goes_on(tmp_path: Any) -> None:
    files = LocalFiles(tmp_path)
    lines = [b"%d" % n + b"x" * 3_000_000 for n in range(3)] + [b"y" * 5_000_000, b"z"]
    key = files.put("plan", b"\n".join(lines))
    pages = LinePages(files)
    found: list[list[bytes]] = []
    while (page := await pages.page(key, offset=sum(map(len, found)), limit=1000)).lines:
        found.append(page.lines)
    assert [line for page in found for line in page] == lines
    assert [len(page) for page in found] == [1, 1, 1, 1, 1]

"""The files of `tests/samples/reported` through the API: what creating, the plan and the row errors say of each.

Nothing is confirmed, so the catalogue stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.http.conftest import Person, Site

REPORTED = Path(__file__).parent.parent / "samples" / "reported"
HEADER = b"Email;First Name;Country Code\n"


async def asked(person: Person, batch_type: str, content: bytes, **context: Any) -> httpx.Response:
    """What creating a dry run of an uploaded file answers."""
    body = {"type": batch_type, "context": {"fileKey": await person.upload(content, "reported.csv"), **context}}
    return await person.http.post("/admin/batch-jobs", json=body | {"dry_run": True})


async def looked_at(person: Person, answer: httpx.Response) -> dict[str, Any]:
    """The job when its plan is made, or cannot be."""
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["batch_job"]["id"]
    async with person.stream(f"/admin/batch-jobs/{job_id}/events") as events:
        async for event in events:
            if event.event in ("batch.pre_processed", "batch.failed"):
                break
    return await person.job(job_id)


PLANNED = {
    "handle-trailing-space": ["Mug"],
    "windows-1251": ["Кружка"],
    "empty-first-row": ["A"],
    "header-again-in-the-middle": ["A", "B"],
    "image-twice": ["A"],
}
"""Files that can be read, with the titles of the products in their plans."""
REFUSED = {
    "same-options-twice": ["3", "line 2 has the same", "Size S, Colour red"],
    "variant-lacks-an-option": ["3", "there is no value for", "Colour"],
    "currency-that-is-none": ["Price RRP", "neither a currency of ISO 4217", 'did you mean ""Price USD""?'],
    "region-called-like-a-currency": ["Price USA", "nor the name of a region"],
    "two-encodings-in-one-file": ["2", "the byte 0xE9", "is not text in the encoding utf-8"],
}
"""Files that leave a doubt, with what is said of them."""
LEFT_OVER = {
    "blank behind a key": (HEADER + b"ada@x1.example;Ada;gb\nada@x1.example ;Eda;gb\n", b"ada@x1.example ;Eda;gb"),
    "empty first row": (b";;\n" + HEADER + b"ada@x1.example;Ada;Britain\n", b"ada@x1.example;Ada;Britain"),
    "header again": (
        HEADER + b"ada@x1.example;Ada;gb\n\xef\xbb\xbf" + HEADER + b"bob@x1.example;Bob;?\n",
        b"bob@x1.example;Bob;?",
    ),
    "windows-1251": (
        HEADER + "ада@x1.example;Ада Лавлейс;?\n".encode("cp1251"),
        "ада@x1.example;Ада Лавлейс;?".encode("cp1251"),
    ),
}
"""Files of customers with a row that cannot be used, and that row as it came."""


async def test_a_file_that_can_be_read_has_a_plan_of_what_it_says(ann: Person) -> None:
    found = {}
    for name in PLANNED:
        job = await looked_at(ann, await asked(ann, "product-import", (REPORTED / f"{name}.csv").read_bytes()))
        plan = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/plan")).json()["plan"]
        found[name] = [(line.get("product") or line["document"])["title"] for line in plan]
    assert found == PLANNED


async def test_a_file_that_leaves_a_doubt_is_refused_with_place_and_reason(ann: Person) -> None:
    """When the job is created if that can be known then, else by the job, whose row errors can be had as a CSV."""
    unsaid = {}
    for name, says in REFUSED.items():
        answer = await asked(ann, "product-import", (REPORTED / f"{name}.csv").read_bytes())
        if answer.status_code == 400:
            reason = answer.json()["message"].replace('"', '""')
        else:
            job = await looked_at(ann, answer)
            assert job["status"] == "failed", name
            rows = await ann.http.get(f"/admin/batch-jobs/{job['id']}/errors")
            reason = f"{job['result']['errors']} {rows.text}"
        unsaid[name] = [each for each in says if each not in reason]
    assert unsaid == {key: [] for key in REFUSED}


async def test_what_is_no_encoding_of_text_is_refused_when_the_job_is_created(ann: Person) -> None:
    content = (REPORTED / "encoding-that-is-none-of-text.csv").read_bytes()
    for batch_type in ("product-import", "customer-import"):
        for encoding in ("hex", "base64", "zlib", "bz2", "undefined", "uu", "quopri"):
            answer = await asked(ann, batch_type, content, encoding=encoding)
            assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")
            assert f"There is no text encoding '{encoding}'" in answer.json()["message"]


async def test_the_error_file_has_the_rows_that_were_refused_as_they_came(ann: Person) -> None:
    for name, (content, kept) in LEFT_OVER.items():
        job = await looked_at(ann, await asked(ann, "customer-import", content, on_error="skip"))
        file = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/error-file")).content.splitlines()
        assert file[0] == b"_errors;" + HEADER.strip(), name
        assert file[-1].endswith(b";" + kept), name
        # A row whose key comes twice is refused together with the one before it, since nobody can tell which is right.
        assert len(file) == 2 + (name == "blank behind a key"), name


async def test_a_region_with_a_name_of_three_capitals_is_meant(ann: Person, site: Site) -> None:
    regions = site.database.client[site.service.settings.catalog_database]["regions"]
    await regions.insert_one({"_id": "reg_of_three_capitals", "name": "USA", "currency_code": "usd"})
    try:
        content = (REPORTED / "region-called-like-a-currency.csv").read_bytes()
        job = await looked_at(ann, await asked(ann, "product-import", content))
        plan = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/plan")).json()["plan"]
    finally:
        await regions.delete_one({"_id": "reg_of_three_capitals"})
    (price,) = (plan[0].get("product") or plan[0]["document"])["variants"][0]["prices"]
    assert (price["region_id"], price["amount"]) == ("reg_of_three_capitals", 1000)

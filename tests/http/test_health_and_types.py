"""Health, batch types and templates."""

from __future__ import annotations

import io

from python_calamine import CalamineWorkbook

from tests.http.conftest import Person, Site


async def test_a_healthy_service_says_so_to_anyone(site: Site) -> None:
    stranger = await site.client()
    assert (await stranger.get("/health")).text == "OK"
    assert (await stranger.get("/health/live")).json() == {"status": "live"}
    ready = await stranger.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_every_batch_type_is_listed_with_where_it_comes_from(ann: Person) -> None:
    types = {entry["type"]: entry for entry in (await ann.http.get("/admin/batch-types")).json()["batch_types"]}
    assert types["rows"]["identifier"] == "rows-strategy"
    assert types["rows"]["origin"].endswith("rows.py")
    assert types["rows"]["context_schema"]["required"] == ["fileKey"]


async def test_a_template_is_fetched_for_a_type_that_has_one(ann: Person) -> None:
    template = await ann.http.get("/admin/batch-types/rows/template")
    assert (template.status_code, template.content) == (200, b"text\nan example\n")
    for missing in ("gated", "nope"):
        assert (await ann.http.get(f"/admin/batch-types/{missing}/template")).status_code == 404


async def test_a_template_may_be_a_workbook_that_explains_its_columns(ann: Person) -> None:
    answer = await ann.http.get("/admin/batch-types/customer-import/template?format=xlsx")
    assert answer.headers["content-type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert answer.headers["content-disposition"] == 'attachment; filename="customer-import-template.xlsx"'
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
    (header, example) = workbook.get_sheet_by_name("Template").to_python()
    assert (header[0], example[0]) == ("Email", "ada@example.com")
    notes = workbook.get_sheet_by_name("Columns").to_python()
    assert [name for name, _ in notes] == ["Column", *header]
    assert all(says for _, says in notes)
    for missing in ("rows", "nope"):
        assert (await ann.http.get(f"/admin/batch-types/{missing}/template?format=xlsx")).status_code == 404
    assert (await ann.http.get("/admin/batch-types/rows/template?format=pdf")).status_code == 400


async def test_the_columns_of_a_template_are_explained(ann: Person) -> None:
    columns = (await ann.http.get("/admin/batch-types/order-import/columns")).json()["columns"]
    assert columns[1] == {
        "name": "Order status",
        "says": "one of pending, completed, archived, canceled, requires_action; an empty cell leaves it as it is",
        "example": "completed",
    }
    for missing in ("rows", "nope"):
        assert (await ann.http.get(f"/admin/batch-types/{missing}/columns")).status_code == 404


async def test_the_routes_are_described(site: Site) -> None:
    described = (await (await site.client()).get("/openapi.json")).json()
    assert "/admin/batch-jobs/{id}/confirm" in described["paths"]


async def test_the_events_are_described(site: Site) -> None:
    described = (await (await site.client()).get("/asyncapi.json")).json()
    assert described["asyncapi"] == "3.0.0"

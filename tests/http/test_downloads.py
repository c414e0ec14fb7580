"""Fetching files: by a signed link, by the address of a public file, whole or in part; and what must not work."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_service.http.medusa.downloads import attachment, wanted
from batchbus_service.http.server.errors import ApiError
from tests.http.conftest import Person, Site


async def _link(person: Person, key: str) -> str:
    answer = await person.http.post("/admin/uploads/download-url", json={"file_key": key})
    assert answer.status_code == 200, answer.text
    link: str = answer.json()["download_url"]
    return link


async def test_a_protected_file_is_fetched_with_a_link_and_not_without(site: Site, ann: Person) -> None:
    key = await ann.upload(b"a;b\r\n", "\u00fc rows.csv")
    stranger = await site.client()
    assert (await stranger.get(f"/uploads/{key}")).status_code == 404

    fetched = await stranger.get(await _link(ann, key))
    assert (fetched.status_code, fetched.content) == (200, b"a;b\r\n")
    assert fetched.headers["content-type"] == "text/csv; charset=UTF-8"
    assert fetched.headers["content-disposition"].startswith("attachment")


async def test_a_public_file_is_fetched_by_its_address(site: Site, ann: Person) -> None:
    answer = await ann.http.post("/admin/uploads", files={"files": ("logo.svg", b"<svg/>")})
    stranger = await site.client()
    fetched = await stranger.get(answer.json()["uploads"][0]["url"])
    assert (fetched.status_code, fetched.content) == (200, b"<svg/>")
    assert fetched.headers["x-content-type-options"] == "nosniff"


async def test_a_link_opens_nothing_else_and_not_for_ever(
    site: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, other = await _link(ann, await ann.upload(b"mine")), await ann.upload(b"other")
    query = parse_qs(urlsplit(link).query)
    expires, signature = query["expires"][0], query["signature"][0]
    stranger = await site.client()
    for changed in (
        f"/uploads/{other}?expires={expires}&signature={signature}",
        f"{link.partition('?')[0]}?expires={int(expires) + 1}&signature={signature}",
        f"{link.partition('?')[0]}?expires={expires}&signature={signature[:-1]}",
        f"{link.partition('?')[0]}?expires=x&signature={signature}",
    ):
        assert (await stranger.get(changed)).status_code == 403, changed
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    assert (await stranger.get(link)).status_code == 403


async def test_nobody_gets_a_link_to_a_file_that_is_not_there_or_not_theirs(ann: Person, bob: Person) -> None:
    key = await ann.upload(b"mine")
    for person, asked in ((ann, "nope.csv"), (bob, key)):
        answer = await person.http.post("/admin/uploads/download-url", json={"file_key": asked})
        assert (answer.status_code, answer.json()["type"]) == (404, "not_found")
    assert (await ann.http.get("/uploads/nope.csv")).status_code == 404


async def test_a_file_can_be_fetched_in_parts_and_joined(site: Site, ann: Person) -> None:
    content = bytes(range(256)) * 1000
    link, stranger = await _link(ann, await ann.upload(content)), await site.client()
    first = await stranger.get(link, headers={"range": "bytes=0-99999"})
    tag = first.headers["etag"]
    rest = await stranger.get(link, headers={"range": "bytes=100000-", "if-range": tag})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.headers["content-range"] == f"bytes 0-99999/{len(content)}"
    assert first.content + rest.content == content
    assert (await stranger.get(link)).headers["accept-ranges"] == "bytes"

    other = await stranger.get(link, headers={"range": "bytes=100000-", "if-range": '"of another file"'})
    assert (other.status_code, other.content) == (200, content)

    beyond = await stranger.get(link, headers={"range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.json()["type"]) == (416, "invalid_data")
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"


async def test_head_tells_what_get_would_without_the_file(site: Site, ann: Person) -> None:
    link, stranger = await _link(ann, await ann.upload(b"x" * 1000)), await site.client()
    told, fetched = await stranger.head(link), await stranger.get(link)
    assert (told.status_code, told.content) == (200, b"")
    for name in ("content-length", "content-type", "content-disposition", "etag", "last-modified"):
        assert told.headers[name] == fetched.headers[name], name


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("rows.csv", "text/csv; charset=UTF-8"),
        ("rows.json", "application/json"),
        ("photo.png", "image/png"),
        ("page.html", "application/octet-stream"),
        ("page.xhtml", "application/octet-stream"),
        ("code.js", "application/octet-stream"),
        ("data.xml", "application/octet-stream"),
        ("noname", "application/octet-stream"),
    ],
)
async def test_no_browser_runs_what_a_stranger_has_put_here(
    site: Site, ann: Person, name: str, content_type: str
) -> None:
    fetched = await (await site.client()).get(await _link(ann, await ann.upload(b"{}" * 100_000, name)))
    assert fetched.headers["content-type"] == content_type
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert fetched.headers["content-security-policy"].startswith("sandbox")
    assert fetched.headers["content-disposition"].startswith("attachment; ")
    assert fetched.content == b"{}" * 100_000


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("rows.csv", 'attachment; filename="rows.csv"'),
        (
            "Preise für März.csv",
            "attachment; filename=\"Preise fur Marz.csv\"; filename*=UTF-8''Preise%20f%C3%BCr%20M%C3%A4rz.csv",
        ),
        ("商品.csv", "attachment; filename=\".csv\"; filename*=UTF-8''%E5%95%86%E5%93%81.csv"),
        ('a"b\\c%d.csv', "attachment; filename=\"a_b_c_d.csv\"; filename*=UTF-8''a%22b%5Cc%25d.csv"),
    ],
)
def test_a_file_is_saved_under_its_name(name: str, disposition: str) -> None:
    assert attachment(name) == disposition


@given(st.text())
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    header = attachment(name)
    assert re.fullmatch(
        r"attachment; filename=\"[A-Za-z0-9 ._()@+-]*\"(; filename\*=UTF-8''[A-Za-z0-9._~%-]+)?", header
    )
    if "filename*" in header:
        assert unquote(header.partition("UTF-8''")[2]) == name


@given(size=st.integers(0, 20), first=st.integers(0, 25), last=st.none() | st.integers(0, 25))
def test_a_range_is_what_a_slice_would_be(size: int, first: int, last: int | None) -> None:
    whole = range(size)
    cases = [(f"bytes={first}-{'' if last is None else last}", whole[first : None if last is None else last + 1])]
    if last is None:
        cases.append((f"bytes=-{first}", whole[max(0, size - first) :]))
    for header, part in cases:
        if last is not None and last < first:
            assert wanted(header, size) is None
        elif part:
            assert wanted(header, size) == part
        else:
            with pytest.raises(ApiError):
                wanted(header, size)


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=٣-"]
)
def test_what_is_no_range_is_passed_over(header: str) -> None:
    assert wanted(header, 10) is None

"""Files from users: put in and deleted; and what must not work."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from batchbus_service.domain.ports import Upload
from tests.http.conftest import Person, Site
from tests.http.wire import connected
from tests.patience import PATIENCE

LIMIT = 1_000_000
PART = b'--B\r\ncontent-disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'


def _kept(site: Site) -> list[str]:
    """Names of the files in the store."""
    folder: Path = site.service.settings.data_dir / "files"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_several_files_are_kept_under_keys_of_their_own(site: Site, ann: Person) -> None:
    files = [("files", ("a.csv", b"one")), ("files", ("a.csv", b"two")), ("note", (None, b"no file"))]
    answer = await ann.http.post("/admin/uploads/protected", files=files)
    uploads = answer.json()["uploads"]
    assert [upload["key"].endswith("-a.csv") for upload in uploads] == [True, True]
    assert [upload["url"] for upload in uploads] == [f"{site.url}/uploads/{upload['key']}" for upload in uploads]
    assert len(_kept(site)) == 2


async def test_a_form_without_files_uploads_nothing(ann: Person) -> None:
    content_type = {"content-type": "multipart/form-data; boundary=B"}
    answer = await ann.http.post("/admin/uploads/protected", content=b"--B--\r\n", headers=content_type)
    assert (answer.status_code, answer.json()) == (200, {"uploads": []})


async def test_a_choice_of_files_where_none_was_chosen_uploads_nothing(ann: Person) -> None:
    body = b'--B\r\ncontent-disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--B--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=B"}
    answer = await ann.http.post("/admin/uploads/protected", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"uploads": []})


async def test_a_deleted_file_is_gone_and_deleting_it_again_does_no_harm(site: Site, ann: Person) -> None:
    key = await ann.upload(b"mine")
    for _ in range(2):
        answer = await ann.http.request("DELETE", "/admin/uploads", json={"file_key": key})
        assert (answer.status_code, answer.json()) == (200, {"id": key, "object": "file", "deleted": True})
    assert _kept(site) == []


async def test_nobody_deletes_what_is_not_theirs(site: Site, ann: Person, bob: Person, olga: Person) -> None:
    key = await ann.upload(b"mine")
    refused = await bob.http.request("DELETE", "/admin/uploads", json={"file_key": key})
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")
    assert _kept(site) == [key]
    await olga.http.request("DELETE", "/admin/uploads", json={"file_key": key})
    assert _kept(site) == []


async def test_an_empty_file_is_kept(site: Site, ann: Person) -> None:
    key = await ann.upload(b"")
    assert (site.service.settings.data_dir / "files" / key).stat().st_size == 0


async def test_a_file_of_exactly_the_limit_is_kept(site: Site, ann: Person) -> None:
    key = await ann.upload(b"x" * LIMIT)
    assert (site.service.settings.data_dir / "files" / key).stat().st_size == LIMIT


async def test_a_file_one_byte_over_the_limit_is_refused_and_nothing_of_it_stays(site: Site, ann: Person) -> None:
    files = [("files", ("first.csv", b"fine")), ("files", ("large.csv", b"x" * (LIMIT + 1)))]
    answer = await ann.http.post("/admin/uploads/protected", files=files)
    assert (answer.status_code, answer.json()["type"]) == (413, "invalid_data")
    assert _kept(site) == []
    assert await site.database["uploads"].count_documents({}) == 0


async def test_a_client_that_disconnects_half_way_leaves_nothing_behind(
    site: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, ended = asyncio.Event(), asyncio.Event()
    put = site.api.file_access.put

    async def put_and_tell(*args: Any, **more: Any) -> Upload:
        try:
            return await put(*args, **more)
        finally:
            ended.set()

    monkeypatch.setattr(site.api.file_access, "put", put_and_tell)

    async def body() -> AsyncIterator[bytes]:
        yield b'--B\r\ncontent-disposition: form-data; name="files"; filename="half.csv"\r\n\r\n'
        for _ in range(5):
            yield b"x" * 100_000
        sent.set()
        await asyncio.Event().wait()

    headers = {"content-type": "multipart/form-data; boundary=B"}
    upload = asyncio.create_task(ann.http.post("/admin/uploads/protected", content=body(), headers=headers))
    await sent.wait()
    upload.cancel()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert _kept(site) == []
    assert await site.database["uploads"].count_documents({}) == 0


async def test_a_refusal_is_heard_by_a_client_that_goes_on_sending(site: Site, ann: Person) -> None:
    async with connected(site) as wire:
        await wire.send(
            "POST /admin/uploads HTTP/1.1",
            "host: test",
            f"x-medusa-access-token: {ann.token}",
            "content-type: multipart/form-data; boundary=B",
            f"content-length: {30 * LIMIT + len(PART)}",
            body=PART,
        )
        for _ in range(30):
            await wire.send(body=b"x" * LIMIT, end=False)
        assert (await wire.head()).startswith("HTTP/1.1 413 ")
    assert _kept(site) == []


@pytest.mark.parametrize("whole", [True, False])
async def test_only_a_form_that_is_whole_is_kept(site: Site, ann: Person, whole: bool) -> None:
    form = PART + b"x" * 100_000 + b"\r\n--B--\r\n"
    head = [
        "POST /admin/uploads HTTP/1.1",
        "host: test",
        f"x-medusa-access-token: {ann.token}",
        "content-type: multipart/form-data; boundary=B",
    ]
    async with connected(site) as wire:
        if whole:  # and nobody has said how long it is
            chunk = f"{len(form):x}\r\n".encode() + form + b"\r\n0\r\n\r\n"
            await wire.send(*head, "transfer-encoding: chunked", body=chunk)
        else:
            await wire.send(*head, f"content-length: {len(form) - 20}", body=form[:-20])
        assert (await wire.head()).startswith("HTTP/1.1 200 " if whole else "HTTP/1.1 400 ")
    assert len(_kept(site)) == whole


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--B--\r\n"),
        ("multipart/form-data; boundary=B", b"garbage"),
        ("multipart/form-data; boundary=B", b'--B\r\ncontent-disposition: form-data; name="files"\r\n\r\nx'),
        ("multipart/form-data; boundary=B", b"--B\r\ncontent-disposition: form-data\r\n\r\nx\r\n--B--\r\n"),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\ncontent-disposition: form-data; name="other"; filename="x"\r\n\r\nx\r\n--B--\r\n',
        ),
    ],
)
async def test_a_body_that_is_no_form_is_refused(site: Site, ann: Person, content_type: str, content: bytes) -> None:
    headers = {"content-type": content_type}
    answer = await ann.http.post("/admin/uploads/protected", content=content, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")
    assert _kept(site) == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "a/../../b", "%2e%2e%2fx", "...", "nul\0byte.csv"]
)
async def test_a_file_name_does_not_leave_the_store(site: Site, ann: Person, name: str) -> None:
    key = await ann.upload(b"x", name)
    assert "/" not in key and "\\" not in key and ".." not in key.partition("-")[2].partition(".")[0]
    assert _kept(site) == [key]


@pytest.mark.parametrize(
    "key", ["../jwt.secret", "..%2fjwt.secret", "%2e%2e%2fjwt.secret", "a/../../jwt.secret", ".", "x%00y"]
)
async def test_a_key_does_not_leave_the_store(site: Site, olga: Person, key: str) -> None:
    (site.service.settings.data_dir / "jwt.secret").write_text("secret")
    answers = [
        await olga.http.get(f"/uploads/{key}"),
        await olga.http.post("/admin/uploads/download-url", json={"file_key": key}),
        await olga.http.request("DELETE", "/admin/uploads", json={"file_key": "../jwt.secret"}),
    ]
    assert all(answer.status_code in (400, 404) for answer in answers)
    assert (site.service.settings.data_dir / "jwt.secret").exists()


@pytest.mark.parametrize("path", ["/admin/batch-jobs", "/admin/auth", "/admin/uploads", "/admin/uploads/protected"])
async def test_a_compressed_body_is_refused(ann: Person, path: str) -> None:
    for encoding in ("gzip", "deflate", "br", "zstd"):
        kind = "multipart/form-data; boundary=B" if "uploads" in path else "application/json"
        headers = {"content-encoding": encoding, "content-type": kind}
        answer = await ann.http.post(path, content=gzip.compress(b"{}"), headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (415, "a compressed body is not supported")

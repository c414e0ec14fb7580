"""What every file store does, in a folder and in memory alike."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import GenericError

from batchbus_service.storage.files import (
    FileStore,
    FileTooLarge,
    InvalidKey,
    StoreFull,
    check_key,
    clean_name,
    is_full,
)
from batchbus_strategies.strategy import FileMissing, Files

MIB = 1024 * 1024


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return FileStore.open("memory://" if request.param == "memory" else (tmp_path / "my files").as_uri())


async def put(files: Files, key: str, content: bytes) -> None:
    async with files.write(key) as writer:
        await writer.write(content)


async def get(files: Files, key: str, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in files.read(key, start=start)])


async def test_what_was_written_can_be_read(store: FileStore) -> None:
    content = os.urandom(3 * MIB)
    async with store.write("imports/products/a.csv") as writer:
        for offset in range(0, len(content), 10_000):
            await writer.write(content[offset : offset + 10_000])
        assert writer.size == len(content)

    assert await store.size("imports/products/a.csv") == len(content)
    assert await get(store, "imports/products/a.csv") == content


async def test_a_file_larger_than_one_part_is_whole(store: FileStore) -> None:
    block = os.urandom(MIB)
    async with store.write("large") as writer:
        for _ in range(20):
            await writer.write(block)

    assert await store.size("large") == 20 * MIB
    assert await get(store, "large", start=19 * MIB) == block


async def test_chunks_are_small_however_large_the_file(store: FileStore) -> None:
    await put(store, "a", bytes(MIB))
    assert max([len(chunk) async for chunk in store.read("a")]) <= 64 * 1024


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6])
async def test_a_read_begins_where_it_is_told_to(store: FileStore, start: int) -> None:
    await put(store, "a", b"12345")
    assert await get(store, "a", start) == b"12345"[start:]


@pytest.mark.parametrize("end", [0, 1, 4, 5, 6])
async def test_a_read_ends_where_it_is_told_to(store: FileStore, end: int) -> None:
    await put(store, "a", b"12345")
    assert b"".join([chunk async for chunk in store.read("a", start=1, end=end)]) == b"12345"[1:end]


async def test_another_file_under_the_same_key_has_another_etag(store: FileStore) -> None:
    await put(store, "a", b"12345")
    before = await store.facts("a")
    await put(store, "a", b"123456")
    after = await store.facts("a")
    assert (before.size, after.size) == (5, 6)
    assert before.etag and after.etag and before.etag != after.etag
    assert before.etag.startswith('"') and before.etag.endswith('"')


async def test_an_empty_file_is_a_file(store: FileStore) -> None:
    await put(store, "a", b"")
    assert await store.size("a") == 0
    assert await get(store, "a") == b""


async def test_writing_again_replaces(store: FileStore) -> None:
    await put(store, "a", b"long before")
    await put(store, "a", b"now")
    assert await get(store, "a") == b"now"


async def test_a_file_appears_when_it_is_whole(store: FileStore) -> None:
    async with store.write("a") as writer:
        await writer.write(bytes(20 * MIB))
        with pytest.raises(FileMissing):
            await store.size("a")
    assert await store.size("a") == 20 * MIB


@pytest.mark.parametrize("size", [10, 20 * MIB])
async def test_a_failed_write_leaves_nothing_behind(store: FileStore, tmp_path: Path, size: int) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.write("a") as writer:
            await writer.write(bytes(size))
            raise ZeroDivisionError
    with pytest.raises(FileMissing):
        await store.size("a")
    assert files_below(tmp_path) == []


async def test_a_failed_write_leaves_the_file_that_was_there(store: FileStore) -> None:
    await put(store, "a", b"before")
    with pytest.raises(ZeroDivisionError):
        async with store.write("a") as writer:
            await writer.write(bytes(20 * MIB))
            raise ZeroDivisionError
    assert await get(store, "a") == b"before"


async def test_a_write_that_is_canceled_leaves_nothing_behind(store: FileStore, tmp_path: Path) -> None:
    halfway = asyncio.Event()

    async def write() -> None:
        async with store.write("a") as writer:
            await writer.write(bytes(20 * MIB))
            halfway.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(FileMissing):
        await store.size("a")
    assert files_below(tmp_path) == []


async def test_what_was_left_unfinished_long_ago_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path.as_uri())
    await put(store, "folder/whole", b"1")
    long_ago = time.time() - 25 * 3600
    for name in ("folder/dead#1", "alive#12", "folder/whole"):
        (tmp_path / name).touch()
        if name != "alive#12":
            os.utime(tmp_path / name, (long_ago, long_ago))
    assert await store.remove_unfinished() == 1
    assert sorted(path.name for path in files_below(tmp_path)) == ["alive#12", "whole"]
    assert await FileStore.open("memory://").remove_unfinished() == 0


async def test_more_than_allowed_is_refused_and_not_kept(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(FileTooLarge, match="10 bytes"):
        async with store.write("a", max_bytes=10) as writer:
            await writer.write(b"12345678")
            await writer.write(b"123")
    assert files_below(tmp_path) == []


async def test_as_much_as_allowed_is_kept(store: FileStore) -> None:
    async with store.write("a", max_bytes=10) as writer:
        await writer.write(b"1234567890")
    assert await store.size("a") == 10


async def test_a_missing_file_is_named(store: FileStore) -> None:
    with pytest.raises(FileMissing, match="no/such"):
        await store.size("no/such")
    with pytest.raises(FileMissing, match="no/such"):
        await get(store, "no/such")
    with pytest.raises(FileMissing, match="no/such"):
        await get(store, "no/such", start=5)


async def test_a_folder_is_no_file(store: FileStore) -> None:
    await put(store, "folder/a", b"1")
    with pytest.raises(FileMissing):
        await store.size("folder")


async def test_a_deleted_file_is_gone_and_deleting_it_again_changes_nothing(store: FileStore) -> None:
    await put(store, "a", b"1")
    await store.delete("a")
    await store.delete("a")
    with pytest.raises(FileMissing):
        await store.size("a")


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../a", "a/../../b", "a/..", "./a", "a//b", "a/", "a\\b", "a\0b", "a\nb", "a#1", "x" * 1000],
)
async def test_a_key_that_leaves_the_store_is_refused_everywhere(store: FileStore, key: str) -> None:
    with pytest.raises(InvalidKey):
        await put(store, key, b"1")
    with pytest.raises(FileMissing):
        await store.size(key)
    with pytest.raises(FileMissing):
        await get(store, key)
    with pytest.raises(FileMissing):
        await store.delete(key)


@pytest.mark.parametrize("key", ["ü/ö ä.csv", "%2e%2e/a", "a~b", "数据.csv", "a#b", "a.b/c", "-", "a:b"])
async def test_an_unusual_key_is_kept_as_it_is(store: FileStore, key: str) -> None:
    await put(store, key, b"1")
    assert await get(store, key) == b"1"


async def test_a_key_is_the_same_however_its_accents_are_encoded(store: FileStore) -> None:
    await put(store, "u\u0308.csv", b"1")
    assert await get(store, "\u00fc.csv") == b"1"


def test_one_store_serves_two_event_loops(store: FileStore) -> None:
    asyncio.run(put(store, "a", b"1"))
    assert asyncio.run(get(store, "a")) == b"1"


@pytest.mark.parametrize("url", ["", "/var/files", "file://host/a", "file:a", "ftp://a/b", "http://a/b"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file://"):
        FileStore.open(url)


@given(st.text())
def test_whatever_someone_calls_a_file_becomes_a_name_that_fits_into_a_key(name: str) -> None:
    cleaned = clean_name(name)
    assert check_key(cleaned) == cleaned
    assert "/" not in cleaned
    assert len(cleaned.encode()) <= 120


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("products.csv", "products.csv"),
        ("Preise für März.csv", "Preise für März.csv"),
        ("商品一覧.csv", "商品一覧.csv"),
        ("उत्पाद.csv", "उत्पाद.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\list.csv", "list.csv"),
        ("a\0b\u202ecsv.exe", "abcsv.exe"),
        ("what?*<now>.csv", "what___now_.csv"),
        (".csv", "csv"),
        ("", "file"),
        ("...", "file"),
        ("é" * 200 + ".csv", "é" * 58 + ".csv"),
    ],
)
def test_a_cleaned_name_keeps_what_it_can(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (
            GenericError(
                "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
            ),
            True,
        ),
        (GenericError("Generic LocalFileSystem error: Disk quota exceeded (os error 122)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (GenericError("Generic LocalFileSystem error: Permission denied (os error 13)"), False),
    ],
)
@pytest.mark.parametrize("when", ["opened", "written", "ended"])
async def test_a_store_that_has_no_room_says_so_whenever_it_notices(
    monkeypatch: pytest.MonkeyPatch, error: Exception, full: bool, when: str
) -> None:
    monkeypatch.setattr(obstore, "open_writer_async", lambda *_, **__: FailingWriter(error, when))
    with pytest.raises(StoreFull if full else type(error)) as raised:
        async with FileStore.open("memory://").write("a") as file:
            await file.write(b"1")
    wrapped = RuntimeError("the export cannot be written")
    wrapped.__cause__ = raised.value
    assert is_full(raised.value) is full
    assert is_full(wrapped) is full


async def test_a_disk_that_a_strategy_fills_while_it_writes_a_file_is_not_the_store() -> None:
    own = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left") as raised:
        async with FileStore.open("memory://").write("a"):
            raise own
    assert raised.value is own
    assert not is_full(raised.value)


class FailingWriter:
    """What the library opens to write a file, when it fails."""

    def __init__(self, error: Exception, when: str) -> None:
        self._error = error
        self._when = when

    async def __aenter__(self) -> FailingWriter:
        self._fail("opened")
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._fail("ended")

    async def write(self, _: bytes) -> None:
        self._fail("written")

    def _fail(self, when: str) -> None:
        if when == self._when:
            raise self._error


async def test_files_of_a_folder_are_listed_with_the_time_of_their_last_write(store: FileStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    for key in ("errors/a/1.jsonl", "errors/b.jsonl", "errors-of-another", "x"):
        await put(store, key, b"1")
    found = {key: at async for key, at in store.listed("errors/")}
    assert sorted(found) == ["errors/a/1.jsonl", "errors/b.jsonl"]
    assert all(before <= at <= datetime.now(UTC) + timedelta(seconds=2) for at in found.values())

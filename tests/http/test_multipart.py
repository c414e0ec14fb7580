"""Multipart bodies, whatever pieces they arrive in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchbus_service.http.server.multipart import BadMultipart, PartBegins, PartEnds, read_parts

CONTENT_TYPE = "multipart/form-data; boundary=boundary"
FILES = st.lists(st.tuples(st.sampled_from(["files", "other"]), st.binary(max_size=300)), max_size=4)


_PIECES = [
    *(b"--boundary", b"--boundary--", b"\r\n", b"\r", b"\n", b"--", b"x", b": ", b";", b'"', b"\0", b"\xff"),
    *(b'Content-Disposition: form-data; name="files"; filename="a"\r\n', b"Content-Type: text/csv\r\n", b"\r\n\r\n"),
]


def _body(files: list[tuple[str, bytes]]) -> bytes:
    parts = [
        b"--boundary\r\n"
        + f'Content-Disposition: form-data; name="{name}"; filename="{n}.csv"\r\n'.encode()
        + b"Content-Type: text/csv\r\n\r\n"
        + content
        + b"\r\n"
        for n, (name, content) in enumerate(files)
    ]
    return b"".join(parts) + b"--boundary--\r\n"


async def _read(*pieces: bytes, content_type: str = CONTENT_TYPE) -> list[tuple[str, str | None, bytes]]:
    async def arriving() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    found: list[tuple[str, str | None, bytes]] = []
    ended = 0
    async for event in read_parts(content_type, arriving()):
        match event:
            case PartBegins(name, file_name):
                found.append((name, file_name, b""))
            case PartEnds():
                ended += 1
            case piece:
                found[-1] = (*found[-1][:2], found[-1][2] + piece)
    assert ended == len(found)
    return found


@settings(max_examples=100, deadline=None)
@given(files=FILES, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_a_form_reads_the_same_in_whatever_pieces_it_arrives(files: list[tuple[str, bytes]], cuts: list[int]) -> None:
    files = [(name, content) for name, content in files if b"--boundary" not in content]
    body = _body(files)
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    expected = [(name, f"{n}.csv", content) for n, (name, content) in enumerate(files)]
    assert asyncio.run(_read(*pieces)) == expected


def test_a_boundary_may_be_cut_anywhere() -> None:
    content = b"\r\n--bound\r\n--boundar\r\n-\r\n"
    body = _body([("files", content), ("files", b"")])
    expected = [("files", "0.csv", content), ("files", "1.csv", b"")]

    async def everywhere() -> None:
        for cut in range(len(body) + 1):
            assert await _read(body[:cut], body[cut:]) == expected, cut
        assert await _read(*(bytes([byte]) for byte in body)) == expected

    asyncio.run(everywhere())


@settings(max_examples=200, deadline=None)
@given(body=st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join), cut=st.integers(0, 300))
def test_whatever_comes_is_read_or_refused(body: bytes, cut: int) -> None:
    with suppress(BadMultipart):
        asyncio.run(_read(body[:cut], body[cut:]))


async def test_names_are_utf_8_or_else_latin_1() -> None:
    for raw, name in (("ü.csv".encode(), "ü.csv"), ("ü.csv".encode("latin-1"), "ü.csv")):
        head = b'--boundary\r\nContent-Disposition: form-data; name="files"; filename="' + raw + b'"\r\n\r\n'
        assert (await _read(head + b"x\r\n--boundary--\r\n"))[0][1] == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        _body([("files", b"x")])[:-14],
        b"--boundary\r\nContent-Type: text/csv\r\n\r\nx\r\n--boundary--\r\n",
        b"--boundary\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--boundary--\r\n",
        b"--boundary\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n--boundary--\r\n",
        b"--boundary\r\n" + b"X" * 100_000,
        b"--boundary\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 2000 + b"--boundary--\r\n",
        b"--boundary\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"x" * 100_000 + b"\r\n--boundary--\r\n",
        b"x" * 100_000 + b"\r\n--boundary--\r\n",
    ],
    ids=[
        *("empty", "garbage", "cut short", "no name", "huge header", "many headers", "endless header"),
        *("too many parts", "long field", "preamble"),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BadMultipart):
        await _read(body)

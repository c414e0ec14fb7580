"""CSV in and out: what is read from any spelling of a table, where a broken one breaks, and the formula guard."""

from __future__ import annotations

import codecs
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_strategies.tables import (
    TEXT_ENCODINGS,
    CsvReader,
    CsvRow,
    NotATable,
    TableError,
    csv_cell,
    csv_line,
    guarded,
    unguarded,
)
from tests.strategies.csv_reading import chunked, read, refusal

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\0x", "'=1", "''=1", "'tis", 'a "quote"', "a\nb", "a\r\nb", "a;b", "a,b"]
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("size", [1, 7, 65536])
async def test_every_spelling_of_a_table_is_read_alike(delimiter: str, line_end: str, encoding: str, size: int) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([["Name", " Price "], ["Würfel", "1"], ['of "wood"', "2"]])

    reader, rows = await read(written.getvalue().encode(encoding), size)

    assert reader.delimiter == delimiter
    assert reader.header == ["Name", "Price"]
    assert rows == [(2, ["Würfel", "1"]), (3, ['of "wood"', "2"])]


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
)
async def test_chunks_may_break_off_anywhere(table: list[list[str]], delimiter: str, line_end: str, size: int) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b", "c"])
    expected = []
    for cells in table:
        if any(cells):
            lines = len(io.StringIO(written.getvalue(), newline="").readlines())
            expected.append((lines + 1, [unguarded(cell) for cell in cells]))
        writer.writerow(cells)

    _, rows = await read(written.getvalue().encode(), size, delimiter=delimiter)

    assert rows == expected


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2).filter(any), max_size=5))
async def test_what_is_written_is_read_back_exactly(table: list[list[str]]) -> None:
    content = csv_line(["a", "b"]) + "".join(csv_line(map(csv_cell, cells)) for cells in table)

    _, rows = await read(content.encode())

    assert [cells for _, cells in rows] == table


@given(st.text() | CELLS)
def test_the_formula_guard_comes_off_exactly(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in list("=+-@\t\r\0") or not text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\0x"])
def test_a_spreadsheet_runs_nothing_that_is_written(text: str) -> None:
    assert unguarded("'" + text) == text
    assert csv_cell(text).strip('"').startswith("'")


def test_a_plain_apostrophe_is_left_alone() -> None:
    assert guarded("'tis") == unguarded("'tis") == "'tis"


async def test_line_numbers_count_the_lines_inside_cells() -> None:
    _, rows = await read(b'a,b\n"one\ntwo\r\nthree",1\nfour,2\n\nfive,3\n')
    assert [line for line, _ in rows] == [2, 5, 7]


async def test_rows_without_any_content_are_no_rows() -> None:
    _, rows = await read(b"a,b\n\n,\n1,2\n,\n\n")
    assert rows == [(4, ["1", "2"])]


async def test_the_last_line_needs_no_end() -> None:
    _, rows = await read(b"a,b\n1,2")
    assert rows == [(2, ["1", "2"])]


async def test_a_header_alone_has_no_rows() -> None:
    reader, rows = await read(b"a,b\n")
    assert reader.header == ["a", "b"]
    assert rows == []


async def test_a_header_may_have_a_cell_of_several_lines() -> None:
    reader, rows = await read(b'"a\nb";c\n1;2\n', 3)
    assert reader.header == ["a\nb", "c"]
    assert rows == [(3, ["1", "2"])]


async def test_the_line_that_tells_excel_the_separator_is_understood() -> None:
    reader, rows = await read(b"sep=;\r\na;b,c\r\n1;2\r\n")
    assert reader.header == ["a", "b,c"]
    assert rows == [(3, ["1", "2"])]


async def test_excel_does_not_care_how_that_line_is_spelt() -> None:
    reader, rows = await read(b"SEP=;\na,b;c\n1;2\n")
    assert (reader.header, rows) == (["a,b", "c"], [(3, ["1", "2"])])


@pytest.mark.parametrize("blank", ["\x0c", "\x0b\x1c ", "\u2028\u2029", ";;"])
async def test_a_line_in_front_of_the_header_counts_once(blank: str) -> None:
    reader, rows = await read(f"{blank}\r\na;b\r\n1;2\r\n".encode())
    assert (reader.header_line, reader.header, rows) == (2, ["a", "b"], [(3, ["1", "2"])])


async def test_a_delimiter_inside_column_names_misleads_nobody() -> None:
    content = b"Product Handle;Price A, B, C and D [EUR]\nx;1\n"
    reader = await CsvReader.open(chunked(content), known={"Product Handle"})
    assert reader.header == ["Product Handle", "Price A, B, C and D [EUR]"]


async def test_delimiter_and_encoding_can_be_given() -> None:
    reader, rows = await read("a,b;c\nä,1;2\n".encode("cp850"), delimiter=";", encoding="cp850")
    assert reader.header == ["a,b", "c"]
    assert rows == [(2, ["ä,1", "2"])]


async def test_latin_1_is_recognised_however_late_it_shows() -> None:
    content = b"a,b\n" + b"x,y\n" * 50_000 + "Café,Straße\n".encode("latin-1")
    reader, rows = await read(content)
    assert rows[-1] == (50_002, ["Café", "Straße"])
    assert reader.encoding == "cp1252"


async def test_latin_1_is_recognised_in_the_very_last_byte() -> None:
    _, rows = await read("a,b\nx,Café".encode("latin-1"))
    assert rows == [(2, ["x", "Café"])]


async def test_two_encodings_in_one_file_are_an_error_with_its_line() -> None:
    error = await refusal("a,b\nä,1\n".encode() + "ä,2\n".encode("latin-1"))
    assert str(error).startswith("Line 3: the byte 0xE4, the file's byte 10, is not text in the encoding utf-8")


@pytest.mark.parametrize("size", [1, 5, 65536])
@pytest.mark.parametrize(
    ("encoding", "content", "line", "byte"),
    [
        ("utf-8", b"a,b\r\nx,1\r\n\xc3", 3, "0xC3, the file's byte 11,"),
        ("utf-8", b"a,b\rx,\xe4\xf6\r", 2, "0xE4, the file's byte 7,"),
        ("ascii", b"a,b\n\n\xff", 3, "0xFF, the file's byte 6,"),
        ("utf-16-le", "a,b\nx".encode("utf-16-le") + b"\x00\xd8\x00\x00", 2, "0x00, the file's byte 11,"),
        ("shift_jis", b"a,b\n\x82\xa0\n\x82", 3, "0x82, the file's byte 8,"),
        ("cp1252", b"a,b\n\x81", 2, "0x81, the file's byte 5,"),
    ],
)
async def test_what_cannot_be_decoded_is_an_error_with_line_and_byte(
    encoding: str, content: bytes, line: int, byte: str, size: int
) -> None:
    error = await refusal(content, size, encoding=encoding)
    assert str(error).startswith(f"Line {line}: the byte {byte} is not text in the encoding {encoding}")


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-99",
        "rot13",
        "hex",
        "base64",
        "zlib",
        "bz2",
        "undefined",
        "uu",
        "quopri",
        "punycode",
        "idna",
        "unicode_escape",
        "utf-7",
        "",
        "a\0b",
        "\ud800",
        "x" * 1_000_000,
    ],
)
async def test_what_is_no_encoding_of_text_is_refused(encoding: str) -> None:
    error = await refusal(b"a,b\n", encoding=encoding)
    assert isinstance(error, NotATable)
    assert str(error).startswith("There is no text encoding ")
    assert len(str(error)) < 300


@pytest.mark.parametrize("encoding", sorted(TEXT_ENCODINGS))
async def test_every_encoding_of_text_is_read(encoding: str) -> None:
    reader, rows = await read("a,b\nx,1\n".encode(encoding), 3, encoding=encoding)
    assert (reader.header, rows) == (["a", "b"], [(2, ["x", "1"])])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n", codecs.BOM_UTF8])
async def test_an_empty_file_says_so(content: bytes) -> None:
    assert str(await refusal(content)) == "The file is empty"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "an Excel workbook or a ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "an old Excel workbook"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
        (b"\x1f\x8b\x08\x00\x00\x00", "a gzip archive"),
        (b"<!DOCTYPE html>\n<html>\n", "HTML or XML"),
        (b'\n{"a": 1}\n', "JSON"),
        (b'[{"a": 1}]\n', "JSON"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary data"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", "binary data"),
    ],
)
async def test_what_is_no_csv_is_called_what_it_is(content: bytes, said: str) -> None:
    error = await refusal(content)
    assert isinstance(error, NotATable)
    assert said in str(error)


async def test_a_quote_that_is_never_closed_is_named_with_the_line_of_its_row() -> None:
    error = await refusal(b'a,b\n1,2\n"3,4\n5,6\n')
    assert str(error) == "Line 3: a quoted cell that begins in this row is never closed"


async def test_text_after_a_closed_quote_is_an_error_with_its_line() -> None:
    error = await refusal(b'a,b\n1,2\n"3"x,4\n5,6\n')
    assert isinstance(error, TableError)
    assert error.line == 3 and "this is not CSV" in str(error)


async def test_the_rows_before_an_error_are_read() -> None:
    reader = await CsvReader.open(chunked(b'a,b\n1,2\n"3"x,4\n'))
    rows: list[CsvRow] = []
    with pytest.raises(TableError):
        async for batch in reader.batches():
            rows += batch
    assert rows == [(2, ["1", "2"])]

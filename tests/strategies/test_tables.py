"""One interface for files of text in every format: what is found out, what a row is, and where a file stops being a table."""

from __future__ import annotations

import gzip
import io
import json
import random
import tempfile
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_strategies.tables import (
    MAX_CELL,
    MAX_COLUMNS,
    NotATable,
    Row,
    TableError,
    TableOptions,
    is_header_again,
    open_table,
)
from batchbus_strategies.testing import LocalFiles
from tests.strategies.table_files import read, refusal, xlsx, zipped

CSV = b"a,b\n1,x\n2,y\n"
JSON = b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]'
LINES = b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'


class Pieces(LocalFiles):
    """A store that gives out its files in small pieces."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder)
        self._size = size

    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        content = self.get(key)
        for at in range(start, len(content), self._size):
            yield content[at : at + self._size]


@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
@pytest.mark.parametrize(
    ("content", "found", "delimiter"),
    [
        (CSV, "csv", ","),
        (CSV.replace(b",", b";"), "csv", ";"),
        (CSV.replace(b",", b"\t"), "tsv", "\t"),
        (JSON, "json", None),
        (b"\xef\xbb\xbf \n" + JSON, "json", None),
        (LINES, "jsonl", None),
        (LINES.replace(b"\n", b"\r\n\r\n"), "jsonl", None),
        (JSON.decode().encode("utf-16"), "json", None),
    ],
)
async def test_format_and_compression_are_found_out(
    files: LocalFiles, content: bytes, found: str, delimiter: str | None, compression: str | None
) -> None:
    packed = {"gzip": gzip.compress(content), "zip": zipped({"x/table": content}), None: content}[compression]
    table, rows = await read(files, packed)
    assert (table.facts.format, table.facts.compression, table.facts.delimiter) == (found, compression, delimiter)
    assert table.header == ["a", "b"]
    assert [cells for _, cells in rows] == [["1", "x"], ["2", "y"]]
    assert table.progress == 1.0


async def test_facts_say_what_lines_count(files: LocalFiles) -> None:
    assert (await read(files, CSV))[0].facts.unit == "line"
    assert (await read(files, LINES))[0].facts.unit == "line"
    assert (await read(files, JSON))[0].facts.unit == "element"


async def test_the_keys_ending_is_a_hint_and_no_more(files: LocalFiles) -> None:
    assert (await read(files, b"a, b and c\td\n1\t2\n", key="x.tsv"))[0].header == ["a, b and c", "d"]
    assert (await read(files, CSV, key="x.tsv.gz"))[0].facts.delimiter == ","
    assert (await read(files, JSON, key="x.csv"))[0].facts.format == "json"


async def test_zeros_behind_a_gzip_are_not_kept(files: LocalFiles) -> None:
    key = files.put("x.gz", gzip.compress(CSV) + bytes(6_000_000) + gzip.compress(b"3,z\n"))
    tracemalloc.start()
    try:
        table = await open_table(files, key)
        assert [row async for batch in table.batches() for row in batch] == [
            (2, ["1", "x"]),
            (3, ["2", "y"]),
            (4, ["3", "z"]),
        ]
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_a_zip_that_would_be_inflated_in_one_piece_is_refused(files: LocalFiles, method: int) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("table.csv", CSV)
    assert "something else than deflate" in await refusal(files, archive.getvalue())


async def test_the_names_in_an_archive_are_shown_in_one_short_line(files: LocalFiles) -> None:
    said = await refusal(files, zipped({f"{n}\n{'x' * 60_000}": CSV for n in range(2)}))
    assert "\n" not in said


async def test_a_zip_of_a_mac_has_one_file(files: LocalFiles) -> None:
    table, _ = await read(
        files, zipped({"x/": b"", "x/table.csv": CSV, "__MACOSX/x/._table.csv": b"?", "x/.DS_Store": b"?"})
    )
    assert table.facts.compression == "zip"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped({"a.csv": CSV, "b.csv": CSV}), "has to have exactly one file in it, and has 2: a.csv, b.csv"),
        (zipped({"x/": b""}), "has to have exactly one file in it, and has 0"),
        (b"PK\x03\x04\x14\x00\x06\x00", "The ZIP archive cannot be read"),
        (gzip.compress(gzip.compress(CSV)), "compressed twice"),
        (zipped({"x.zip": zipped({"a.csv": CSV})}), "it has no sheets in it"),
        (gzip.compress(CSV)[:-4], "its end is missing"),
        (gzip.compress(CSV)[:10] + b"\xff" * 20, "gzip file is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password"),
        (b"%PDF-1.7", "a PDF"),
        (b"<html>", "HTML or XML"),
        (b"", "The file is empty"),
        (b"[]", "The file is empty"),
        (b"[{}]", "The file is empty"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_is_no_table_is_called_what_it_is(files: LocalFiles, content: bytes, said: str) -> None:
    assert said in await refusal(files, content)


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: zipped({"x": content})], ids=["gzip", "zip"])
async def test_what_is_compressed_too_much_is_refused(files: LocalFiles, pack: Callable[[bytes], bytes]) -> None:
    content = pack(b"a,b\n" + (b"x" * 1000 + b",2\n") * 80_000)
    assert "compressed more than 200:1, which is the limit beyond 64 MiB" in await refusal(files, content)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TableOptions(format="xls"), "There is no format 'xls'; there are csv, tsv, xlsx, ods, jsonl, json"),  # type: ignore[arg-type]
        (TableOptions(format="xlsx"), "The file is no XLSX"),
        (
            TableOptions(encoding="klingon"),
            "There is no text encoding 'klingon' that a file may be in; there are utf-8",
        ),
        (TableOptions(delimiter=";;"), "The delimiter ';;' cannot be used; it is one character"),
        (TableOptions(delimiter='"'), "cannot be used"),
        (TableOptions(format="json"), "[ is expected"),
        (TableOptions(format="jsonl"), "an object in braces is expected here"),
    ],
)
async def test_an_option_that_does_not_fit_is_refused(files: LocalFiles, options: TableOptions, said: str) -> None:
    assert said in await refusal(files, CSV, options)


async def test_options_go_before_what_would_be_found(files: LocalFiles) -> None:
    table, rows = await read(files, "a,b|c\nä,1|2\n".encode("cp850"), TableOptions(delimiter="|", encoding="cp850"))
    assert (table.header, rows) == (["a,b", "c"], [(2, ["ä,1", "2"])])
    assert (await read(files, b"a,b\tc\n", TableOptions(format="tsv")))[0].header == ["a,b", "c"]


# -- rows --------------------------------------------------------------------------------------------------------------


async def test_an_absent_cell_is_not_an_empty_one(files: LocalFiles) -> None:
    _, rows = await read(files, b"a,b,c\n1,,3\n1\n1,2,3,,\n1,2,3,4\n")
    assert [cells for _, cells in rows] == [["1", "", "3"], ["1", None, None], ["1", "2", "3"], ["1", "2", "3", "4"]]
    _, rows = await read(files, b'{"a": null, "c": ""}\n{"b": 1}\n{"a": null}\n{}\n')
    assert rows == [(2, [None, None, "1"])], "rows without content are left out"
    _, rows = await read(files, b'{"a": null, "c": "x"}\n{"b": 1}\n')
    assert rows == [(1, ["", "x", None]), (2, [None, None, "1"])]


@pytest.mark.parametrize(
    "content",
    [
        b"_errors,a,b\nbad,1,2\n,3,4,\nworse\n",
        b"a,_errors,b\n1,bad,2\n3,,4\n,worse\n",
        b'{"a": 1, "_errors": "bad", "b": 2}\n{"a": "3", "b": 4}\n{"_errors": "worse"}',
    ],
)
async def test_the_column_of_errors_is_left_out(files: LocalFiles, content: bytes) -> None:
    table, rows = await read(files, content)
    assert table.header == ["a", "b"]
    assert [cells for _, cells in rows] == [["1", "2"], ["3", "4"]]


async def test_numbers_of_json_keep_their_text(files: LocalFiles) -> None:
    _, rows = await read(
        files, b'[{"a": 10.50, "b": 1e3, "c": 98765432109876543210, "d": -0.0, "e": true, "f": false}]'
    )
    assert rows == [(1, ["10.50", "1e3", "98765432109876543210", "-0.0", "TRUE", "FALSE"])]


async def test_a_list_of_json_is_joined_where_that_is_clear(files: LocalFiles) -> None:
    _, rows = await read(files, b'[{"a": ["x", 1.0, "y z"], "b": [], "c": 1}]')
    assert rows == [(1, ["x,1.0,y z", "", "1"])]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"x": 1}', "an object cannot be in a cell"),
        ('[["x"]]', "a list in a cell may have strings and numbers"),
        ("[null]", "a list in a cell may have strings and numbers"),
        ('["a,b"]', "a string in a list is empty, or has a comma"),
        ('["", "a"]', "a string in a list is empty, or has a comma"),
        ('"\\ud800"', "the text is not Unicode: it has half of a surrogate pair"),
        (json.dumps("x" * (MAX_CELL + 1)), "a cell may have 1,048,576 characters at most"),
    ],
)
async def test_what_no_cell_can_hold_is_an_error_with_its_key(files: LocalFiles, value: str, said: str) -> None:
    for content, place in (
        (f'[{{"k": 1}}, {{"k": {value}}}]', "Element 2"),
        (f'{{"k": 1}}\n\n{{"k": {value}}}', "Line 3"),
    ):
        error = await refusal(files, content.encode())
        assert error.startswith(f'{place}, column "k": {said}')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', 'Line 1, column "a": the key comes twice in one object'),
        (b'{"a": 1}\n{"a": 1,}', "Line 2: this is not JSON"),
        (b'{"a": 1}\n\n[1]', "Line 3: an object in braces is expected here"),
        (b'{"a": 1}{"a": 2}', "Line 1: there is more in the line than one object"),
        (b'{\n"a": 1}', "in JSON Lines each object is on a line of its own"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b'[{"a": 1} {"a": 2}]', "Element 1: this is not JSON: , or ] is expected"),
        (b'[{"a": 1},]', "Element 2"),
        (b'[{"a": 1}, 2]', "Element 2: an object in braces is expected here"),
        (b'[{"a": 1}, {"a"', "Element 2: this is not JSON"),
        (b'[{"a": 1}', "the array is never closed"),
        (b'[{"a": 1}] x', "more in it than one JSON array"),
        (b'[{"a": ' + b"[" * 100_000, "nested 62 levels deep at most"),
        (b'[{"a": "' + b"x" * (5 * MAX_CELL), "characters at most"),
        (b'{"a": "' + b"x" * (5 * MAX_CELL), "characters at most"),
    ],
)
@pytest.mark.parametrize("size", [1000, 65_536])
async def test_json_that_is_broken_says_where(tmp_path: Path, content: bytes, said: str, size: int) -> None:
    assert said in await refusal(Pieces(tmp_path, size), content)


async def test_the_rows_before_an_error_are_given_out(files: LocalFiles) -> None:
    for content in (b'{"a": 1}\n{"a": {}}\n', b'[{"a": 1}, {"a": {}}]', b'[{"a": 1}, ?', b'a,b\n1,2\n"x"y,1\n'):
        table = await open_table(files, files.put("x", content), TableOptions())
        rows: list[Row] = []
        with pytest.raises(TableError):
            async for batch in table.batches():
                rows += batch
        assert [cells[0] for _, cells in rows] == ["1"]


async def test_more_columns_than_the_limit_are_refused(files: LocalFiles) -> None:
    content = json.dumps([{f"c{n}": 1} for n in range(MAX_COLUMNS + 1)]).encode()
    assert "The file has more than 2,000 columns" in await refusal(files, content)


OBJECTS = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "ä", "x y", 'q"'])
        | st.text(st.characters(codec="utf-8"), min_size=1, max_size=4).filter(lambda key: key.strip() not in ("", "_errors")),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8"), max_size=8),
        max_size=4,
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@given(OBJECTS, st.integers(1, 50), st.sampled_from([None, 1]), st.booleans(), st.randoms(use_true_random=False))
async def test_objects_are_read_wherever_the_pieces_break_off(
    objects: list[dict[str, object]], size: int, indent: int | None, escaped: bool, chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = Pieces(Path(folder), size)
        array = json.dumps(objects, indent=indent, ensure_ascii=escaped).encode()
        lines = "\n".join(json.dumps(each, ensure_ascii=escaped) for each in objects).encode()
        header = list(dict.fromkeys(key for each in objects for key in each))
        if not header:
            return
        expected = [[_text(each[key]) if key in each else None for key in header] for each in objects]
        for content in (array, lines):
            table, rows = await read(files, content)
            assert table.header == [key.strip() for key in header]
            assert rows == [(number, cells) for number, cells in enumerate(expected, start=1) if any(cells)]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value).upper() if isinstance(value, bool) else json.dumps(value)


# -- a header again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Name,Price\na,1\n\ufeffName,Price\nb,2\n", "utf-8"),
        ('Name,Price\na,1\n\ufeff"Name","Price"\nb,2\n', "utf-8"),
        (" Name ,Price\na,1\nName, Price ,\nb,2\n", "utf-8"),
        ("Name,Price\na,1\nï»¿Name,Price\nb,2\n", "cp1252"),
    ],
)
async def test_a_second_header_is_recognised(files: LocalFiles, content: str, encoding: str) -> None:
    try:
        table, rows = await read(files, content.encode(encoding), TableOptions(encoding=encoding))
    except TableError as error:
        pytest.fail(str(error))
    assert [is_header_again(row, table.header) for row in rows] == [False, True, False]


def test_a_row_that_is_like_the_header_in_parts_is_none() -> None:
    assert not is_header_again((2, ["Name", "x"]), ["Name", "Price"])
    assert not is_header_again((2, ["Name", "Price", "x"]), ["Name", "Price"])
    assert not is_header_again((2, ["Name", None]), ["Name", "Price"])
    assert is_header_again((2, ["\ufeffName"]), ["Name"])
    assert is_header_again((2, ["Name", "Price"]), ["Name", "Price"])


async def test_a_workbook_is_told_from_an_archive(files: LocalFiles) -> None:
    with pytest.raises(NotATable, match="The file is no csv but XLSX"):
        await read(files, xlsx("<row/>"), TableOptions(format="csv"))

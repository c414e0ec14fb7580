"""The reduced file: the rows that are kept say what they said, beside what is wrong with them, and nothing else changes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchbus_strategies.tables import (
    NotATable,
    TableError,
    TableOptions,
    WriteOptions,
    open_table,
    write_reduced,
    write_table,
)
from batchbus_strategies.testing import LocalFiles
from tests.strategies.table_files import ods, ods_row, zipped

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8) | st.sampled_from(
    ["'=1", "=1", " x ", "'tis", "a\nb", "a,b", 'say "x"', "007", "ä"]
)


async def reduced(files: LocalFiles, content: bytes, keep: dict[int, str], **options: Any) -> bytes:
    done = await write_reduced(files, files.put("up/x.csv", content), TableOptions(**options), keep, "reduced")
    assert done == len(keep)
    return files.get("reduced")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\r\n1,2\r\n3,4\r\n5,6\r\n", "_errors,a,b\r\nbad,3,4\r\n"),
        (" a ;b\n1;2\n '=3 ;'=4\n", "_errors; a ;b\nbad; '=3 ;'=4\n"),
        ("a\tb\r1\t2\r3\t4\r", "_errors\ta\tb\rbad\t3\t4\r"),
        ("sep=|\r\na|b\r\n1|2\r\n", "sep=|\r\n_errors|a|b\r\nbad|1|2\r\n"),
        ("a,_errors,b\n1,old,2\n3,older,4\n", "_errors,a,b\nbad,3,4\n"),
        ("a,b\n1,2\n3\n", "_errors,a,b\nbad,3\n"),
        ("a,b\n1,2\n3,4,5,6\n", "_errors,a,b\nbad,3,4,5,6\n"),
        ('a,b\n1,2\n"3\n,",4\n', '_errors,a,b\nbad,"3\n,",4\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
async def test_a_csv_stays_as_it_was(files: LocalFiles, content: str, expected: str, encoding: str) -> None:
    mark = content.encode(encoding)[:2] if encoding in ("utf-8-sig", "utf-16") else b""
    found = await reduced(files, content.encode(encoding), {3: "bad"})
    assert found.startswith(mark)
    assert found.decode(encoding) == expected


async def test_an_encoding_that_shows_late_is_that_of_the_whole_file(files: LocalFiles) -> None:
    content = "a,b\n" + "x,y\n" * 50_000 + "Café,Straße\n"
    found = await reduced(files, content.encode("cp1252"), {2: "schön – 日本", 50_002: "=1"})
    assert found.decode("cp1252") == "_errors,a,b\nschön – ??,x,y\n'=1,Café,Straße\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1.50, "b": null}\n\n{"b": [1, {"c": true}], "_errors": "old"}\n', '{"_errors":"bad","b":[1,{"c":true}]}\n'),
        ('[{"a": 1}, {}, {"a": 12345678901234567890, "ä": "\\ud800"}]', '[\n{"_errors":"bad","a":12345678901234567890,"ä":"\\ud800"}\n]\n'),
    ],
)  # fmt: skip
async def test_json_stays_json(files: LocalFiles, content: str, expected: str) -> None:
    assert (await reduced(files, content.encode(), {3: "bad"})).decode() == expected


async def test_nothing_kept_is_an_empty_table(files: LocalFiles) -> None:
    assert await reduced(files, b"a,b\n1,2\n", {}) == b"_errors,a,b\n"
    assert json.loads(await reduced(files, b'[{"a": 1}]', {})) == []
    assert await reduced(files, b'{"a": 1}\n', {}) == b""


async def test_a_compressed_file_stays_compressed(files: LocalFiles) -> None:
    expected = b"_errors,a,b\nbad,1,2\n"
    assert gzip.decompress(await reduced(files, gzip.compress(b"a,b\n1,2\n"), {2: "bad"})) == expected
    with zipfile.ZipFile(io.BytesIO(await reduced(files, zipped({"t.csv": b"a,b\n1,2\n"}), {2: "bad"}))) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [expected]
        assert archive.namelist() == ["x.csv"]


async def test_of_a_workbook_the_sheet_that_was_read_stays(files: LocalFiles) -> None:
    content = ods(ods_row("other"), ods_row(" a ", "b") + ods_row("007", "'=1") + ods_row("1", "2"))
    await reduced(files, content, {2: "=bad", 3: "x" * 40_000}, sheet="B")
    table = await open_table(files, "reduced")
    assert (table.facts.format, table.facts.sheet, table.facts.sheets, table.header) == (
        "xlsx",
        "B",
        ("B",),
        ["a", "b"],
    )
    assert [row async for batch in table.batches() for row in batch] == [(2, ["007", "=1"]), (3, ["1", "2"])]


@pytest.mark.parametrize("name", ["Products of spring and summer 2024", "A/B [1]", "x" * 30 + "&apos;y", "&apos;"])
async def test_a_sheet_may_have_a_name_that_no_xlsx_has(files: LocalFiles, name: str) -> None:
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(ods(ods_row("a", "b") + ods_row("1", "2")))) as archive,
        zipfile.ZipFile(content, "w") as renamed,
    ):
        for member in archive.infolist():
            renamed.writestr(member, archive.read(member).replace(b'"A"', f'"{name}"'.encode()))
    await reduced(files, content.getvalue(), {2: "bad"})
    table = await open_table(files, "reduced")
    assert table.facts.sheet
    assert table.header == ["a", "b"]


async def test_what_comes_behind_the_last_row_kept_is_not_looked_at(files: LocalFiles) -> None:
    assert await reduced(files, b'a,b\n1,2\n"x"y,3\n', {2: "bad"}) == b"_errors,a,b\nbad,1,2\n"
    with pytest.raises(TableError):
        await reduced(files, b'a,b\n1,2\n"x"y,3\n', {9: "bad"})


async def test_options_are_checked(files: LocalFiles) -> None:
    with pytest.raises(NotATable, match="There is no text encoding"):
        await reduced(files, b"a,b\n1,2\n", {2: "bad"}, encoding="hex")


@given(
    st.lists(st.lists(TEXTS, min_size=1, max_size=5), max_size=6),
    st.sets(st.integers(2, 20)),
    st.sampled_from(["csv", "tsv", "xlsx", "jsonl", "json"]),
    st.sampled_from([None, "gzip", "zip"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 3),
)
async def test_the_rows_kept_are_read_as_before(
    rows: list[list[str]], chosen: set[int], found: Any, compression: Any, encoding: str, line_end: str, errors_at: int
) -> None:
    header = ["a", "b", "c"]
    header.insert(errors_at, "_errors")
    with tempfile.TemporaryDirectory() as folder:
        files = LocalFiles(Path(folder))
        if found in ("csv", "tsv"):  # with rows that are too short, and too long
            text = io.StringIO(newline="")
            csv.writer(text, delimiter="\t" if found == "tsv" else ",", lineterminator=line_end).writerows(
                [header, *rows]
            )
            content = text.getvalue().encode(encoding)
            files.put(
                "x",
                gzip.compress(content) if compression == "gzip" else zipped({"x": content}) if compression else content,
            )
        else:
            written = WriteOptions(format=found, compression=compression, encoding=encoding, guard=False)
            async with files.write("x") as file, write_table(file, header, written) as table:
                await table.write([(row + [""] * 4)[:4] for row in rows])
        options = TableOptions(format=found, encoding=encoding)
        try:
            before = await _rows(files, "x", options)
        except NotATable as error:
            assume("empty" not in str(error))
            raise
        keep = {line: f"wrong in {line}" for line in before if line in chosen}
        assume(keep or found not in ("json", "jsonl"))
        assert await write_reduced(files, "x", options, keep, "reduced") == len(keep)
        after = await _rows(files, "reduced", options)
        assert list(after.values()) == [cells for line, cells in before.items() if line in keep]


async def _rows(files: LocalFiles, key: str, options: TableOptions) -> dict[int, list[str | None]]:
    table = await open_table(files, key, options)
    return {line: cells for batch in [batch async for batch in table.batches()] for line, cells in batch}

"""Writing tables: what is written is read back, in every format; and a spreadsheet runs and changes nothing of it."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from batchbus_strategies.tables import (
    NotATable,
    TableOptions,
    WriteOptions,
    WrittenCell,
    file_ending,
    open_table,
    write_table,
    written_format,
)
from batchbus_strategies.testing import LocalFiles

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffe\uffff"), max_size=10) | st.sampled_from(
    [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "'=1",
        "''=1",
        "'tis",
        'a "q"',
        "a\nb",
        "a\r\nb",
        "a;b",
        "a,b",
        "a|b",
        "007",
        "12345678901234567890",
        "_x000D_",
        "{x}",
        "1e5",
        "TRUE",
        " x ",
    ]
)


async def written(
    files: LocalFiles, header: Sequence[str], rows: Sequence[Sequence[WrittenCell]], **options: Any
) -> bytes:
    async with files.write("x") as file, write_table(file, header, WriteOptions(**options)) as table:
        for row in rows:
            await table.write([row])
    return files.get("x")


async def read_back(files: LocalFiles, **options: Any) -> tuple[list[str], list[list[str | None]]]:
    table = await open_table(files, "x", TableOptions(**options))
    return table.header, [cells for batch in [batch async for batch in table.batches()] for _, cells in batch]


@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
@pytest.mark.parametrize("found", ["csv", "tsv", "xlsx", "ods", "jsonl", "json"])
async def test_every_format_is_read_back(files: LocalFiles, found: Any, compression: Any) -> None:
    rows = [["007", "=1+1", "ä"], ["12345678901234567890", "a;b,c\td\ne", ""]]
    await written(files, ["a", "b b", "ü"], rows, format=found, compression=compression)
    table = await open_table(files, "x")
    assert (table.facts.format, table.facts.compression) == (written_format(found), compression)
    assert await read_back(files) == (["a", "b b", "ü"], rows)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2).filter(any), max_size=5), st.sampled_from(["csv", "tsv", "xlsx", "jsonl", "json"]), st.sampled_from([",", ";", "|"]))  # fmt: skip
async def test_what_is_written_is_read_back_exactly(rows: list[list[str]], found: Any, delimiter: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = LocalFiles(Path(folder))
        await written(files, ["a", "b"], rows, format=found, delimiter=delimiter)
        if rows or found not in ("json", "jsonl"):
            assert await read_back(files, format=found, delimiter=delimiter if found == "csv" else None) == (
                ["a", "b"],
                rows,
            )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "shift_jis"])
@pytest.mark.parametrize("found", ["csv", "jsonl"])
async def test_the_encoding_may_be_chosen(files: LocalFiles, encoding: str, found: Any) -> None:
    await written(files, ["a"], [["x±y"]], format=found, encoding=encoding)
    assert await read_back(files, encoding=encoding) == (["a"], [["x±y"]])


async def test_a_character_that_the_encoding_lacks_is_an_error_and_no_file_is_left(files: LocalFiles) -> None:
    with pytest.raises(NotATable, match="The character 'Ж' cannot be written in the encoding cp1252; choose utf-8"):
        await written(files, ["a"], [["Ж"]], encoding="cp1252")
    assert files.all_keys() == []


async def test_numbers_are_numbers_where_there_are_numbers(files: LocalFiles) -> None:
    rows: list[list[WrittenCell]] = [[5, Decimal("10.50"), "10.50", None, 12345678901234567]]
    header = ["a", "b", "c", "d", "e"]
    assert (await written(files, header, rows, format="csv", delimiter=",")).endswith(
        b"5,10.50,10.50,,12345678901234567\r\n"
    )
    assert (
        await written(files, header, rows, format="jsonl") == b'{"a":5,"b":10.50,"c":"10.50","e":12345678901234567}\n'
    )
    content = await written(files, header, rows, format="xlsx")
    (_, cells) = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    assert cells == [5.0, 10.5, "10.50", "", "12345678901234567"]


@pytest.mark.parametrize("found", ["csv", "tsv", "xlsx", "json", "jsonl"])
async def test_what_is_no_cell_is_refused_instead_of_being_cut(files: LocalFiles, found: Any) -> None:
    with pytest.raises(NotATable, match=r"text, an int, a Decimal or None, and not 2\.5, a float"):
        await written(files, ["a"], [[cast(Any, 2.5)]], format=found)
    assert files.all_keys() == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
async def test_a_spreadsheet_runs_nothing(files: LocalFiles, text: str) -> None:
    content = await written(files, ["a"], [[text]], format="xlsx")
    assert CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()[1] == ["'" + text]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    assert json.loads(await written(files, ["a"], [[text]], format="json")) == [{"a": text}], "programs read it"


async def test_a_second_sheet_explains_the_first(files: LocalFiles) -> None:
    notes = [["Column", "Meaning"], ["a", "=what it means"]]
    content = await written(files, ["a"], [["1"]], format="xlsx", sheet="Products", notes=notes, notes_sheet="Columns")
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names == ["Products", "Columns"]
    assert book.get_sheet_by_index(1).to_python() == [["Column", "Meaning"], ["a", "'=what it means"]]
    assert await read_back(files) == (["a"], [["1"]])


@pytest.mark.parametrize("found", ["csv", "xlsx", "json"])
@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
async def test_the_same_rows_give_the_same_bytes(files: LocalFiles, found: Any, compression: Any) -> None:
    first = await written(files, ["a"], [["1"]], format=found, compression=compression)
    assert first == await written(files, ["a"], [["1"]], format=found, compression=compression)


async def test_an_empty_array_is_one(files: LocalFiles) -> None:
    assert json.loads(await written(files, ["a"], [], format="json")) == []
    assert json.loads(gzip.decompress(await written(files, ["a"], [["1"]] * 3, format="json", compression="gzip")))


@pytest.mark.parametrize(
    ("header", "rows", "options", "said"),
    [
        (["a"], [["x" * 32_768]], {}, "Row 2 has a cell of 32,768 characters; a cell of XLSX may have 32,767"),
        (["a"] * 16_385, [], {}, "An XLSX may have 16,384 columns"),
        (["a"], [], {"sheet": "a/b"}, "A sheet cannot be called 'a/b'"),
        (["a"], [[Decimal("NaN")]], {}, "NaN cannot be written as a number"),
    ],
)
async def test_what_an_xlsx_cannot_hold_is_an_error(
    files: LocalFiles, header: list[str], rows: list[list[WrittenCell]], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotATable, match=said):
        await written(files, header, rows, format="xlsx", **options)
    assert files.all_keys() == []


def test_a_name_ends_in_what_the_file_is() -> None:
    assert [file_ending("ods"), file_ending("csv", "gzip"), file_ending("jsonl", "zip")] == [
        ".xlsx",
        ".csv.gz",
        ".jsonl.zip",
    ]

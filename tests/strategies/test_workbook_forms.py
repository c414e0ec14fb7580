"""Workbooks as other programs leave them: packed again, compressed once more, and with cells that no XLSX may have."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import pytest

from batchbus_strategies.tables import CellTooLong, TableOptions, limits, write_reduced
from batchbus_strategies.testing import LocalFiles
from tests.strategies.table_files import ods, ods_row, read, refusal, xlsx, zipped


def packed_again(workbook: bytes, *, first: str) -> bytes:
    """With every part deflated, as a program does that knows nothing of workbooks, and one part in front of the others."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        names = sorted(archive.namelist(), key=lambda name: name != first)
        return zipped({name: archive.read(name) for name in names})


@pytest.mark.parametrize("first", ["mimetype", "content.xml", "META-INF/manifest.xml"])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzipped"])
async def test_an_ods_that_was_packed_again_is_one(files: LocalFiles, first: str, compressed: bool) -> None:
    content = packed_again(ods(ods_row("a", "b") + ods_row("1", "2")), first=first)
    table, rows = await read(files, gzip.compress(content) if compressed else content)
    assert (table.facts.format, table.header, rows) == ("ods", ["a", "b"], [(2, ["1", "2"])])
    assert "no xlsx but ODS" in await refusal(files, content, TableOptions(format="xlsx"))


@pytest.mark.parametrize("first", ["[Content_Types].xml", "xl/workbook.xml"])
async def test_an_xlsx_that_was_packed_again_is_one(files: LocalFiles, first: str) -> None:
    rows = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2"><v>7</v></c></row>'
    table, found = await read(files, packed_again(xlsx(rows), first=first))
    assert (table.facts.format, found) == ("xlsx", [(2, ["7"])])


@pytest.mark.parametrize("number", ["40063813339310017", "-40063813339310017", "4.0063813339310017E+16"])
@pytest.mark.parametrize("form", ["xlsx", "ods"])
async def test_a_number_of_which_digits_were_lost_is_refused_with_its_cell(
    files: LocalFiles, number: str, form: str
) -> None:
    if form == "xlsx":
        content = xlsx(
            '<row r="1"><c r="A1" t="inlineStr"><is><t>EAN</t></is></c></row>'
            f'<row r="2"><c r="A2"><v>{number}</v></c></row>'
        )
    else:
        cell = f'<table:table-cell office:value-type="float" office:value="{number}"><text:p>4E16</text:p></table:table-cell>'
        content = ods(ods_row("EAN") + f"<table:table-row>{cell}</table:table-row>")
    message = await refusal(files, content)
    assert message.startswith('Row 2, column "EAN": a number with more than 15 digits')


async def test_an_archive_in_a_gzip_is_inflated_up_to_a_limit(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ods(ods_row("a") + ods_row(random.Random(1).randbytes(200_000).hex()))
    assert len(content) > 150_000
    monkeypatch.setattr(limits, "MAX_ARCHIVE", 150_000)
    assert "larger than 0 MiB, the most that one may have which is compressed once more" in await refusal(
        files, gzip.compress(content)
    )
    table, _ = await read(files, content)
    assert table.facts.format == "ods", "a file that is not compressed once more has taken its place already"


async def test_a_workbook_that_cannot_be_reduced_to_an_xlsx_says_so(files: LocalFiles) -> None:
    key = files.put("x.ods", ods(ods_row("a") + ods_row("x" * 40_000)))
    with pytest.raises(CellTooLong, match=r"a cell of XLSX may have 32,767\. Write CSV instead"):
        await write_reduced(files, key, TableOptions(), {2: "wrong"}, "reduced")
    assert "reduced" not in files.all_keys()


@pytest.mark.parametrize(("depth", "refused"), [(limits.MAX_JSON_DEPTH, False), (limits.MAX_JSON_DEPTH + 1, True)])
@pytest.mark.parametrize("array", [False, True], ids=["lines", "array"])
async def test_json_is_nested_so_deep_and_no_deeper(files: LocalFiles, depth: int, refused: bool, array: bool) -> None:
    inner = "[" * (depth - 1) + "]" * (depth - 1)
    row = '{"a":' + inner + ',"b":"{[{[{["}'
    message = await refusal(files, (f"[{row}]" if array else row).encode())
    assert (f"nested {limits.MAX_JSON_DEPTH} levels deep at most" in message) is refused
    wide = '{"a":"' + "[{" * 500 + '"}'
    assert (await read(files, wide.encode()))[1] == [(1, ["[{" * 500])]

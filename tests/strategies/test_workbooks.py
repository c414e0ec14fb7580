"""XLSX and ODS: what each kind of cell becomes, which sheet is read, and what is refused before it takes memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from datetime import datetime, time, timedelta

import pytest
import xlsxwriter

from batchbus_strategies.tables import NotATable, TableOptions, open_table
from batchbus_strategies.tables.workbook_check import first_error_in_xlsx, first_errors_in_ods, lengths_of_texts
from batchbus_strategies.tables.workbook_parts import WorkbookParts
from batchbus_strategies.testing import LocalFiles
from tests.strategies.table_files import ods, ods_row, read, refusal, xlsx, zipped

Written = str | float | bool | datetime | time | timedelta


def workbook(**sheets: list[list[Written]]) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_formulas": False}) as book:
        formats = {
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            time: book.add_format({"num_format": "hh:mm:ss"}),
            timedelta: book.add_format({"num_format": "[h]:mm:ss"}),
        }
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for line, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    sheet.write(line, column, cell, formats.get(type(cell)))
    return content.getvalue()


def cell(reference: str, value: str, attributes: str = "") -> str:
    return f'<c r="{reference}" {attributes}><v>{value}</v></c>'


def inline(reference: str, text: str) -> str:
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'


HEADER = f'<row r="1">{inline("A1", "a")}{inline("B1", "b")}</row>'


@pytest.mark.parametrize(
    ("written", "is_read"),
    [
        ("007", "007"),
        ("12345678901234567890", "12345678901234567890"),
        (" blanks ", " blanks "),
        ("'=1+1", "=1+1"),
        ("'tis", "'tis"),
        ("a\nb", "a\nb"),
        (5.0, "5"),
        (-5.0, "-5"),
        (0.1, "0.1"),
        (1234.5678, "1234.5678"),
        (999999999999999.0, "999999999999999"),
        (1e-7, "1e-07"),
        (True, "TRUE"),
        (False, "FALSE"),
        (datetime(2024, 5, 1, 12, 30), "2024-05-01T12:30:00"),  # noqa: DTZ001
        (time(7, 5), "07:05:00"),
        (timedelta(hours=30, seconds=5), "PT30H00M05S"),
    ],
)
async def test_a_cell_of_an_xlsx_becomes_text(files: LocalFiles, written: Written, is_read: str) -> None:
    table, rows = await read(files, workbook(One=[["a", "b"], [written, "x"]]))
    assert (table.header, rows) == (["a", "b"], [(2, [is_read, "x"])])


async def test_a_cell_of_an_ods_becomes_text(files: LocalFiles) -> None:
    cells = [
        '<table:table-cell office:value-type="float" office:value="10.50"><text:p>10,50</text:p></table:table-cell>',
        '<table:table-cell office:value-type="date" office:date-value="2024-05-01"><text:p>1. Mai</text:p></table:table-cell>',
        '<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>WAHR</text:p></table:table-cell>',
        '<table:table-cell office:value-type="time" office:time-value="PT30H00M05S"><text:p>30:00:05</text:p></table:table-cell>',
        '<table:table-cell table:number-columns-repeated="2" office:value-type="string"><text:p>007</text:p></table:table-cell>',
    ]
    row = f"<table:table-row>{''.join(cells)}</table:table-row>"
    _, rows = await read(files, ods(ods_row(*"abcdef") + row))
    assert rows == [(2, ["10.5", "2024-05-01", "TRUE", "PT30H00M05S", "007", "007"])]


async def test_empty_rows_are_left_out_and_the_header_is_the_first_that_is_not(files: LocalFiles) -> None:
    table, rows = await read(files, workbook(One=[[], ["", ""], [" a ", "b"], [], ["1", ""], ["", "2", "3"]]))
    assert (table.header, table.header_line, table.facts.unit) == (["a", "b"], 3, "row")
    assert rows == [(5, ["1", ""]), (6, ["", "2", "3"])]
    assert table.progress == 1.0


async def test_the_filling_at_the_end_of_an_ods_takes_nothing(files: LocalFiles) -> None:
    """LibreOffice writes the rest of each sheet as one empty cell that is repeated."""
    rest = '<table:table-cell table:number-columns-repeated="16383"/>'
    filling = f'<table:table-row table:number-rows-repeated="1048570">{rest}</table:table-row>'
    row = ods_row("1").replace("</table:table-row>", f"{rest}</table:table-row>")
    _, rows = await read(files, ods(ods_row("a") + row + filling))
    assert rows == [(2, ["1"])]


@pytest.mark.parametrize("wanted", [None, "One", 1, "1"])
async def test_the_first_sheet_is_read_unless_another_one_is_named(files: LocalFiles, wanted: str | int | None) -> None:
    content = workbook(One=[["a"], ["1"]], Two=[["b"], ["2"]])
    table, _ = await read(files, content, TableOptions(sheet=wanted))
    assert (table.header, table.facts.sheet, table.facts.sheets) == (["a"], "One", ("One", "Two"))


@pytest.mark.parametrize("content", [workbook(One=[["a"]], Two=[["b"]]), ods(ods_row("a"), ods_row("b"))])
async def test_a_sheet_is_found_by_name_and_number(files: LocalFiles, content: bytes) -> None:
    table, _ = await read(files, content, TableOptions(sheet=2))
    assert table.header == ["b"]
    assert (await read(files, content, TableOptions(sheet=table.facts.sheet)))[0].header == ["b"]


async def test_an_unknown_sheet_is_refused_with_those_that_there_are(files: LocalFiles) -> None:
    content = workbook(One=[["a"]], Two=[["b"]])
    for wanted in ("Three", "3", 0, -1, "²"):
        error = await refusal(files, content, TableOptions(sheet=wanted))
        assert error == f"There is no sheet '{wanted}' in the file; there are 1: One, 2: Two"


async def test_an_empty_sheet_says_so(files: LocalFiles) -> None:
    assert await refusal(files, workbook(One=[], Two=[["a"]]), TableOptions(sheet="One")) == "The sheet 'One' is empty"
    assert (await read(files, workbook(One=[], Two=[["a"]])))[0].facts.sheet == "Two"
    assert await refusal(files, workbook(One=[])) == "The file is empty"


@pytest.mark.parametrize("packed", ["gzip", "zip"])
async def test_a_workbook_may_be_compressed_again(files: LocalFiles, packed: str) -> None:
    content = workbook(One=[["a"], ["1"]])
    table, rows = await read(files, gzip.compress(content) if packed == "gzip" else zipped({"x.xlsx": content}))
    assert (table.facts.format, table.facts.compression, rows) == ("xlsx", packed, [(2, ["1"])])


async def test_the_column_of_errors_is_left_out(files: LocalFiles) -> None:
    table, rows = await read(files, workbook(One=[["a", "_errors", "b"], ["1", "bad", "2"], ["", "worse", ""]]))
    assert (table.header, rows) == (["a", "b"], [(2, ["1", "2"])])


@pytest.mark.parametrize("reference", [' r="B3"', ""])
async def test_an_error_value_is_an_error_with_its_place_behind_the_rows_before(
    files: LocalFiles, reference: str
) -> None:
    rows = f'<row>{inline("A2", "1")}</row><row>{inline("A3", "2")}<c{reference} t="e"><v>#N/A</v></c></row>'
    content = xlsx(HEADER + rows)
    assert await refusal(files, content) == 'Row 3, column "b": the cell has an error value, such as #N/A'
    table = await open_table(files, "x")
    batches = table.batches()
    assert await anext(batches) == [(2, ["1", ""])]


async def test_an_error_value_of_an_ods_is_noticed(files: LocalFiles) -> None:
    error = '<table:table-row><table:covered-table-cell/><table:table-cell office:value-type="string" calcext:value-type="error"><text:p>Err:502</text:p></table:table-cell></table:table-row>'
    content = ods(ods_row("a", "b") + ods_row("1", "2", attributes='table:number-rows-repeated="5"') + error)
    assert await refusal(files, content) == 'Row 7, column "b": the cell has an error value, such as #N/A'


@pytest.mark.parametrize("value", ["1234567890123456", "1.2345678901234567E+19", "-1E15"])
async def test_a_number_that_a_spreadsheet_has_changed_is_an_error(files: LocalFiles, value: str) -> None:
    error = await refusal(files, xlsx(f'{HEADER}<row r="2">{cell("B2", value)}</row>'))
    assert error.startswith('Row 2, column "b": a number with more than 15 digits was changed by the spreadsheet')


async def test_cells_and_rows_need_no_reference(files: LocalFiles) -> None:
    plain = '<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row><row><c><v>1</v></c><c><v>2</v></c></row>'
    _, rows = await read(files, xlsx(plain))
    assert rows == [(2, ["1", "2"])]


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        xlsx(f'{HEADER}<row r="1048576">{inline("XFD1048576", "x")}</row>'),
        xlsx(f"{HEADER}<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>"),
        xlsx(HEADER + "<row/>" * 100_000 + f"<row>{'<c><v>1</v></c>' * 16_000}</row>"),
        ods(ods_row("x", attributes='table:number-rows-repeated="1000000"').replace("<table:table-cell", '<table:table-cell table:number-columns-repeated="16384"')),
        ods(ods_row("a") + '<table:table-row table:number-rows-repeated="1000000"/>' + ods_row(*"x" * 2000)),
    ],
)  # fmt: skip
async def test_a_sheet_that_would_fill_the_memory_is_refused_before_it_is_loaded(
    files: LocalFiles, content: bytes
) -> None:
    assert "it may have 12,000,000, empty ones included" in await refusal(files, content)


@pytest.mark.parametrize("between", ["", "<f>1</f>"])
async def test_a_long_text_that_many_cells_share_counts_for_each_of_them(files: LocalFiles, between: str) -> None:
    long = f"<si><t>{'x' * 30_000}</t></si>"
    rows = "".join(f'<row r="{row}"><c r="A{row}" t="s">{between}<v>1</v></c></row>' for row in range(2, 40_000))
    header = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    content = xlsx(header + rows, shared=f"<si><t>a</t></si>{long}")
    assert "it may take 1,024 MiB" in await refusal(files, content)
    table, found = await read(files, xlsx(header + rows[: rows.index("</row>") + 6], shared=f"<si><t>a</t></si>{long}"))
    assert (table.header, found) == (["a"], [(2, ["x" * 30_000])])


async def test_a_long_text_that_an_ods_repeats_counts_as_often(files: LocalFiles) -> None:
    content = ods(ods_row("a") + ods_row("x" * 30_000, attributes='table:number-rows-repeated="40000"'))
    assert "it may take 1,024 MiB" in await refusal(files, content)


_ODS_X = '<table:table-cell {} office:value-type="string"><text:p>x</text:p></table:table-cell></table:table-row>'


@pytest.mark.parametrize(
    "row",
    [
        "<table:table-row table:number-rows-repeated='1000000'>" + _ODS_X.format("table:number-columns-repeated='16384'"),
        '<table:table-row table:number-rows-repeated = "1000000">' + _ODS_X.format('table:number-columns-repeated\n="16384"'),
        '<table:table-row table:a=">" table:number-rows-repeated="+1000000">' + _ODS_X.format('table:a=">" table:number-columns-repeated="0016384"'),
        "<table:table-row table:a='\">' table:number-rows-repeated='1000000'>" + _ODS_X.format("table:a='\">' table:number-columns-repeated='16384'"),
    ],
)  # fmt: skip
def test_an_ods_is_measured_however_its_xml_is_written(row: str) -> None:
    with pytest.raises(NotATable, match="it may have 12,000,000, empty ones included"):
        first_errors_in_ods([f"<table:table >{row}</table:table>".encode()])


@pytest.mark.parametrize(
    "odd", ["<!--<table:table -->", "<?x <table:table ?>", "<![CDATA[</table:table-row>]]>", "<!DOCTYPE x>"]
)
async def test_what_may_hide_cells_of_an_ods_is_refused(files: LocalFiles, odd: str) -> None:
    content = ods(ods_row("a"), ods_row("b"))
    assert (await read(files, content))[0].header == ["a"]
    with pytest.raises(NotATable, match="save it anew"):
        first_errors_in_ods([b'<?xml version="1.0"?><a>', odd[:1].encode(), odd[1:].encode()])
    assert first_errors_in_ods([b'\xef\xbb\xbf<?xml version="1.0"?><table:table >']) == [None]


@pytest.mark.parametrize(
    "rows",
    [
        '<row r = "1048576"><c r = "XFD1048576"><v>1</v></c></row>',
        '<row\tr\n=\n"1048576"><c\nr\t="XFD1048576"><v>1</v></c></row>',
        '<row r="1"><c r="xfd0000001048576"><v>1</v></c></row>',
        '<row r="1"><c r="AAAA1048576"><v>1</v></c></row>',
        '<row r="1048576">' + "<c\n><v>1</v></c>" * 16_000 + "</row>",
    ],
)
def test_an_xlsx_is_measured_however_its_xml_is_written(rows: str) -> None:
    with pytest.raises(NotATable, match=r"it may have 12,000,000, empty ones included|more than 1,048,576 rows"):
        first_error_in_xlsx([f"<worksheet><sheetData>{rows}".encode()], [])


@pytest.mark.parametrize(
    "cell", ['<c t = "s"><v>1</v></c>', '<c t="s"><v>0<!-- -->1</v></c>', '<c t="s"><v>+1</v></c>']
)
def test_a_shared_text_counts_however_its_cells_are_written(cell: str) -> None:
    with pytest.raises(NotATable, match="it may take 1,024 MiB"):
        first_error_in_xlsx([f"<row>{cell}</row>".encode() * 2], [1, 1024**3])


def test_shared_texts_with_a_comment_may_each_be_as_long_as_all() -> None:
    xml = b"<sst><si><t>a<!--<si--></t></si><si><t>long</t></si></sst>"
    assert list(lengths_of_texts([xml[:20], xml[20:]])) == [len(xml)] * 3
    assert list(lengths_of_texts([b"<sst><si><t>a</t></si><si/></sst>"])) == [14, 8]


def _changed(content: bytes, **texts: str) -> bytes:
    """The archive with other texts in its parts, and with more parts."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members | {name: text.encode() for name, text in texts.items()})


def _part(content: bytes, name: str) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name).decode()


async def test_a_sheet_that_could_be_another_one_than_is_loaded_is_refused(files: LocalFiles) -> None:
    content = xlsx(HEADER)
    links, names, sheet = "xl/_rels/workbook.xml.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml"
    other = {"xl/worksheets/other.xml": _part(content, sheet)}
    found = _part(content, links)
    link = found[found.index("<Relationship ") : found.index("/>") + 2]
    more_links = found.replace(link, link + link.replace("sheet1", "other"))
    assert "two relationships" in await refusal(files, _changed(content, **{links: more_links}, **other))
    entry = '<sheet name="One" sheetId="1" r:id="rId1"/>'
    more_names = _part(content, names).replace(entry, entry + entry.replace("rId1", "rId9"))
    other_link = link.replace("sheet1", "other").replace("rId1", "rId9")
    assert "two sheets" in await refusal(
        files, _changed(content, **{names: more_names, links: found.replace(link, link + other_link)}, **other)
    )
    for alike in ("xl/worksheets/SHEET1.xml", "xl/./worksheets/sheet1.xml"):
        assert "two parts" in await refusal(files, _changed(content, **{alike: ""}))


def test_shared_texts_are_found_under_every_spelling_of_their_name() -> None:
    content = _changed(xlsx(HEADER), **{"xl/SharedStrings.xml": "<sst><si><t>a</t></si></sst>"})
    _, texts = WorkbookParts(io.BytesIO(content)).xlsx_sheet("One")
    assert list(lengths_of_texts(texts)) == [20]


def test_a_workbook_with_millions_of_names_takes_no_memory() -> None:
    content = xlsx(HEADER)
    names = _part(content, "xl/workbook.xml").replace("</workbook>", "<a/>" * 500_000 + "</workbook>")
    parts = WorkbookParts(io.BytesIO(_changed(content, **{"xl/workbook.xml": names})))
    tracemalloc.start()
    try:
        parts.xlsx_sheet("One")
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


async def test_a_document_type_is_refused(files: LocalFiles) -> None:
    content = xlsx(HEADER)
    names = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + _part(content, "xl/workbook.xml")
    assert "declares a document type" in await refusal(files, _changed(content, **{"xl/workbook.xml": names}))


async def test_more_rows_than_a_sheet_can_have_are_refused(files: LocalFiles) -> None:
    assert "more than 1,048,576 rows" in await refusal(
        files, xlsx(HEADER + f'<row r="1048577">{inline("A1", "x")}</row>')
    )


async def test_a_compression_bomb_is_refused(files: LocalFiles) -> None:
    content = xlsx(HEADER + " " * 70_000_000)
    assert "compressed more than 200:1, which is the limit beyond 64 MiB" in await refusal(files, content)


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml"])
async def test_an_archive_that_lies_about_its_sizes_is_refused(files: LocalFiles, part: str) -> None:
    content = xlsx(HEADER + " " * 1_000_000)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.getinfo(part).file_size
    error = await refusal(files, content.replace(size.to_bytes(4, "little"), (size - 50).to_bytes(4, "little")))
    assert "larger than its directory says" in error


async def test_what_is_no_workbook_of_the_two_kinds_is_refused(files: LocalFiles) -> None:
    assert "it has no sheets in it" in await refusal(
        files, zipped({"[Content_Types].xml": b"", "word/document.xml": b""})
    )
    assert "cannot be read" in await refusal(files, zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b"?"}))
    assert "cannot be read" in await refusal(files, workbook(One=[["a"]])[:-30])

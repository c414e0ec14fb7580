"""Table files for tests: put into a store, read back whole, and made by hand where no library makes such ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import pytest

from batchbus_strategies.tables import (
    NotATable,
    Row,
    Table,
    TableError,
    TableOptions,
    WriteOptions,
    open_table,
    write_table,
)
from batchbus_strategies.testing import LocalFiles


async def read(
    files: LocalFiles, content: bytes, options: TableOptions | None = None, *, key: str = "x"
) -> tuple[Table, list[Row]]:
    """The table in that content, and all its rows."""
    table = await open_table(files, files.put(key, content), options or TableOptions())
    return table, [row async for batch in table.batches() for row in batch]


async def rows_of(files: LocalFiles, key: str) -> list[dict[str, str]]:
    """The rows of a file, by column, with an empty text for a cell that is not there."""
    table = await open_table(files, key, TableOptions())
    return [
        {name: cell or "" for name, cell in zip(table.header, cells, strict=False)}
        async for batch in table.batches()
        for _, cells in batch
    ]


async def put_rows(files: LocalFiles, key: str, rows: Sequence[Mapping[str, str]], options: WriteOptions) -> str:
    """A file of those rows, with all columns that they have. Returns its key."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    async with files.write(key) as file, write_table(file, names, options) as table:
        await table.write([[row.get(name, "") for name in names] for row in rows])
    return key


async def refusal(files: LocalFiles, content: bytes, options: TableOptions | None = None) -> str:
    """Why it cannot be read."""
    with pytest.raises((NotATable, TableError)) as refused:
        await read(files, content, options)
    assert len(str(refused.value)) < 500
    return str(refused.value)


def zipped(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


def xlsx(rows: str, *, name: str = "One", shared: str = "") -> bytes:
    """A workbook of one sheet with that XML as its rows."""
    spreadsheet = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    workbook = f'<workbook {spreadsheet} xmlns:r="{office}"><sheets><sheet name="{name}" sheetId="1" r:id="rId1"/></sheets></workbook>'
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    members = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Override PartName="/xl/workbook.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": workbook,
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {spreadsheet}><sheetData>{rows}</sheetData></worksheet>",
    }
    if shared:
        texts = f"<sst {spreadsheet}>{shared}</sst>"
        members["xl/sharedStrings.xml"] = texts
        link = f'<Relationship Id="rId2" Type="{office}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
        links = "xl/_rels/workbook.xml.rels"
        members[links] = members[links].replace("</Relationships>", link)
    return zipped({name: content.encode() for name, content in members.items()})


def ods(*sheets: str) -> bytes:
    """A spreadsheet with sheets called A, B and so on, each with that XML as its rows."""
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    namespaces += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    tables = "".join(f'<table:table table:name="{chr(65 + n)}">{rows}</table:table>' for n, rows in enumerate(sheets))
    content = f"<office:document-content {namespaces}><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        file.writestr("content.xml", content)
        file.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
    return archive.getvalue()


def ods_row(*cells: str, attributes: str = "") -> str:
    """A row of cells of text."""
    inner = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in cells
    )
    return f"<table:table-row {attributes}>{inner}</table:table-row>"

"""What a reader may be told about a file beforehand, and what it reports to have found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["ERRORS_COLUMN", "Compression", "Format", "TableFacts", "TableOptions", "Unit"]

Format = Literal["csv", "tsv", "xlsx", "ods", "jsonl", "json"]
"""`tsv` is CSV with tabs between the cells, `jsonl` has an object on each line, `json` is an array of objects."""
Compression = Literal["gzip", "zip"]
Unit = Literal["line", "row", "element"]
"""What the number of a row counts: lines of a text file, rows of a sheet, or elements of a JSON array, each from 1."""

ERRORS_COLUMN: Final = "_errors"
"""The column that `write_reduced` adds. Readers leave it out, so that a corrected file can be read as it is."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the user says about a file. What is None is found out from its content."""

    format: Format | None = None
    """The format of the table itself; whether it is compressed is always found out."""
    encoding: str | None = None
    """Any of Python's names of a text encoding. It has no meaning for XLSX and ODS."""
    delimiter: str | None = None
    """One character. It has no meaning but for CSV and TSV."""
    sheet: str | int | None = None
    """The name of a sheet of an XLSX or ODS, or its number from 1; a text of digits is a name first. The first sheet
    with content is read if there is none given."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What was found out about a file. What has no meaning for its format is None."""

    format: Format
    compression: Compression | None
    header_line: int
    """The number of the header in `unit`s; 1 for JSON, whose header is in its objects."""
    encoding: str | None = None
    """Python's name of it. A file that began in ASCII may turn out to be in another encoding while its rows are read, so
    it is certain only when all are."""
    delimiter: str | None = None
    sheet: str | None = None
    """The name of the sheet that is read."""
    sheets: tuple[str, ...] = ()
    """The names of all sheets, in their order."""

    @property
    def unit(self) -> Unit:
        """What the number of a row counts."""
        match self.format:
            case "xlsx" | "ods":
                return "row"
            case "json":
                return "element"
            case _:
                return "line"

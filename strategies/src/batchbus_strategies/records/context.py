"""What an import of records is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.contexts import TextEncoding
from batchbus_strategies.records.planning import OnError
from batchbus_strategies.tables import Format, TableOptions

__all__ = ["Limit", "RecordImportContext", "most"]

Limit = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})(\.[0-9]+)? ?%$")]
"""A number, or a share such as `5%`."""


def most(limit: Limit, of: int) -> int:
    """How many a limit allows, of so many."""
    if isinstance(limit, int):
        return limit
    return int(of * float(limit.rstrip("% ")) / 100)


class RecordImportContext(BaseModel):
    """Further keys are kept and ignored."""

    model_config = ConfigDict(extra="allow")

    fileKey: str = Field(min_length=1)  # noqa: N815  the name on the wire
    """The file in the file store."""
    format: Format | None = None
    """Found out if it is not given, as are the encoding and the delimiter."""
    encoding: TextEncoding = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    sheet: str | int | None = None
    """Of a workbook: the name of the sheet, or its number from 1."""
    columns: Mapping[str, str | None] = Field(default_factory=dict)
    """Which column of the batch type a column of the file is, by its name there; null leaves it out."""
    on_error: OnError = "abort"
    max_errors: Limit | None = None
    """Give up when more records than this cannot be used; a share is one of the records in the file. By default, `abort`
    gives up after 1,000, and the others never."""
    max_changes: Limit | None = None
    """Refuse a plan that creates, updates and deletes more records than this; a share is one of those in the catalogue.
    A dry run is not refused: who confirms it has seen its numbers."""
    max_deletes: Limit | None = None
    """The same for records that are deleted."""

    @property
    def table(self) -> TableOptions:
        """What is said of the file."""
        return TableOptions(format=self.format, encoding=self.encoding, delimiter=self.delimiter, sheet=self.sheet)

"""What an import is asked with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.contexts import TextEncoding
from batchbus_strategies.product_import.row_errors import OnError

__all__ = ["ProductImportContext"]


class ProductImportContext(BaseModel):
    """Further keys are kept and ignored."""

    model_config = ConfigDict(extra="allow")

    fileKey: str = Field(min_length=1)  # noqa: N815  the name on the wire
    """The file in the file store."""
    on_error: OnError = "abort"
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """Found out if it is not given, as is the encoding."""
    encoding: TextEncoding = None
    max_errors: int | None = Field(default=None, ge=1)
    """Give up after so many; 1,000 for `abort`, no limit for `skip`."""

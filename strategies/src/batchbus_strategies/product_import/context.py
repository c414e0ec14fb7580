"""What an import is asked with."""

from __future__ import annotations

from pydantic import field_validator

from batchbus_strategies.records import RecordImportContext

__all__ = ["ProductImportContext"]


class ProductImportContext(RecordImportContext):
    """As for any import of records, without `keep`. `max_errors` is a number of errors, after which the
    import gives up at once: 1,000 for `abort`, no limit for `skip`. Further keys are kept and ignored."""

    @field_validator("on_error")
    @classmethod
    def _abort_or_skip(cls, on_error: str) -> str:
        if on_error == "keep":
            raise ValueError("Input should be 'abort' or 'skip'")
        return on_error

    @field_validator("max_errors")
    @classmethod
    def _a_number(cls, limit: int | str | None) -> int | str | None:
        if limit is not None and (isinstance(limit, str) or limit < 1):
            raise ValueError("Input should be a number greater than or equal to 1")
        return limit

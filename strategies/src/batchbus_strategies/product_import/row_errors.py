"""The errors of a file's rows: reported to the run as they are found, and summed up in the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

from batchbus_strategies.strategy import StrategyError
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.product_import.rows import RowError
    from batchbus_strategies.strategy import JobRun

__all__ = ["OnError", "RowErrors", "RowsRefused"]

OnError = Literal["abort", "skip"]
"""What becomes of an import with rows that cannot be used: nothing is imported, or they are left out."""

_ABORT_AFTER: Final = 1000
_LEFT_OUT: Final = "product_left_out"


class RowsRefused(StrategyError):
    """Some rows cannot be imported, and so nothing was."""


class RowErrors:
    """Counts the rows with errors. `limit` errors are enough; None is 1,000 for `abort` and no limit for `skip`."""

    def __init__(self, run: JobRun[Any], on_error: OnError, limit: int | None) -> None:
        self._run = run
        self._on_error = on_error
        self._limit = limit or (_ABORT_AFTER if on_error == "abort" else None)
        self._count = 0
        self._lines: set[int] = set()
        """Of what has been reported, if there is a limit to that."""
        self._first: RowError | None = None

    def report(self, errors: Iterable[RowError]) -> None:
        """Raises `RowsRefused` when there are too many."""
        for error in errors:
            if error.code == _LEFT_OUT and self._on_error == "abort":
                continue  # then everything is left out, and the reason has been told
            self._run.row_error(
                line=error.line,
                column=error.column,
                code=error.code,
                message=error.message,
                value=None if error.value is None else shortened(error.value),
            )
            self._count += 1
            if self._limit is not None:
                self._lines.add(error.line)
            if self._first is None or error.line < self._first.line:
                self._first = error
            if self._count == self._limit:
                raise RowsRefused(f"There are too many errors: {self._summary()}")

    def refuse(self) -> None:
        """At the end: raises `RowsRefused` if there were errors, and rows with errors are not to be skipped."""
        if self._count and self._on_error == "abort":
            raise RowsRefused(self._summary())

    def _summary(self) -> str:
        first = self._first
        assert first
        count = len(self._lines)
        rows = "1 row cannot be imported" if count == 1 else f"{count:,} rows cannot be imported; the first"
        column = f', column "{shortened(first.column)}"' if first.column else ""
        value = f', value "{shortened(first.value)}"' if first.value is not None else ""
        return f"{rows}: line {first.line}{column}{value}: {first.message}"

"""What the batch types of a declared record have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel

from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import DeclarationError, Schema, schema_of
from batchbus_strategies.strategy import BatchStrategy, C, Fields, JobRun

__all__ = ["OfRecord"]


class OfRecord(BatchStrategy[C]):
    """A batch type that takes its record from brackets: `RecordImport[Customer]`."""

    record: ClassVar[type[Record]]
    """Taken from the brackets. A subclass of a batch type may name another one, such as a subclass of its record."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if (record := _record_of(cls)) is not None:
            cls.record = record
        if "batch_type" in cls.__dict__ and "identifier" not in cls.__dict__:
            cls.identifier = f"{cls.batch_type}-strategy"
        if hasattr(cls, "record"):
            schema_of(cls.record)  # so that a wrong declaration is an error where it stands

    async def with_shown(self, run: JobRun[BaseModel], documents: Sequence[Fields]) -> Sequence[Fields]:
        """The documents as the cells of `Shown` columns are made of them: copies with what has to be looked up elsewhere.

        It is called for some at a time, by exports and by imports, and nothing of it is stored. By default they are given
        back as they are.
        """
        return documents

    @property
    def schema(self) -> Schema:
        """What the record declares."""
        return schema_of(self.record)


def _record_of(cls: type) -> type[Record] | None:
    """The record that a class was given in brackets: `Customer` of `RecordImport[Customer]`."""
    for each in cls.__dict__.get("__orig_bases__", ()):
        base = get_origin(each)
        if isinstance(base, type) and issubclass(base, OfRecord) and base is not OfRecord:
            (record,) = get_args(each)
            if isinstance(record, type):
                if not issubclass(record, Record):
                    raise DeclarationError(f"{cls.__name__} imports {record.__name__}, which is no Record")
                return record
    return None

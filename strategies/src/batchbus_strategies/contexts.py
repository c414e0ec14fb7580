"""The contexts of built-in batch types: checked before a job exists, with the fields that several of them have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from batchbus_strategies.strategy import JobRefused
from batchbus_strategies.tables import NotATable, text_encoding

__all__ = ["TextEncoding", "checked_context"]

M = TypeVar("M", bound=BaseModel)


def checked_context(model: type[M], context: Mapping[str, object]) -> M:
    """The context of a draft, as its model has it. Raises `JobRefused` for the first field that is not right."""
    try:
        return model.model_validate(context)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise JobRefused(f"The context is not right: {field}: {first['msg']}", field=field) from error


def _of_text(encoding: str | None) -> str | None:
    if encoding is not None:
        try:
            text_encoding(encoding)
        except NotATable as error:
            raise PydanticCustomError("encoding", "{reason}", {"reason": str(error)}) from None
    return encoding


TextEncoding: TypeAlias = Annotated[str | None, AfterValidator(_of_text)]
"""Any of Python's names of an encoding that text may be in; None to find it out."""

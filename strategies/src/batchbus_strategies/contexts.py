"""The contexts of built-in batch types: checked before a job exists, with the fields that several of them have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from batchbus_strategies.strategy import JobRefused
from batchbus_strategies.tables import NotATable, text_encoding

__all__ = ["TextEncoding", "checked_context"]

M = TypeVar("M", bound=BaseModel)

_MISSPELT: Final = 0.85
"""From which likeness on, of 0 to 1, a key is taken for a misspelt field."""


def checked_context(model: type[M], context: Mapping[str, object], *, also: Collection[str] = ()) -> M:
    """The context of a draft, as its model has it. Raises `JobRefused` for the first field that is not right.

    Further keys are kept, but for one that is nearly the name of a field: a misspelt `max_deletes` that is passed over would
    delete what it was to protect. `also`: further names that a context may have, and that were taken out of this one.
    """
    known = {name.lower(): name for name in (*model.model_fields, *also) if name not in context}
    for name in context.keys() - model.model_fields.keys():
        if near := get_close_matches(name.lower(), known, n=1, cutoff=_MISSPELT):
            raise JobRefused(f"The context is not right: {name} is no field of it; {known[near[0]]} is", field=name)
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

"""Request bodies and pages as models, and messages about what is wrong with them, which never repeat what was sent."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, ValidationError

from batchbus_service.http.medusa.bodies import Body
from batchbus_service.http.server.errors import invalid

__all__ = ["Form", "Limit", "Offset", "read_form"]

Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Form(BaseModel):
    """A request body: its fields, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyForm = TypeVar("AnyForm", bound=Form)


def read_form(form: type[AnyForm], body: Body) -> AnyForm:
    """Raises `ApiError` with everything that is wrong, each fault with the field it is about."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        errors = (f"{'.'.join(map(str, each['loc']))[:100]}: {_message(each['msg'])}" for each in error.errors())
        raise invalid(", ".join(errors)) from None


def _message(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "should not exist")

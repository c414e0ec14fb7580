"""Routes: the users of this API. Operators may see them; who may administer users may change them."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from batchbus_service.access import Role, User
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.medusa.schemas import Deleted, OneUser
from batchbus_service.http.medusa.wire import user_on_the_wire
from batchbus_service.http.operator.schemas import UserList
from batchbus_service.http.server.callers import Operator, UserAdmin
from batchbus_service.http.server.errors import not_allowed, not_found
from batchbus_service.http.server.forms import Form, Limit, Offset, read_form
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(prefix="/admin/users", tags=["users"])

_log = structlog.get_logger("batchbus")

Name = Annotated[str, Field(max_length=200)]


class _NewUser(Form):
    email: str
    role: Role = Role.MEMBER
    password: str | None = None
    first_name: Name | None = None
    last_name: Name | None = None


class _Change(Form):
    role: Role | None = None
    password: str | None = None


@router.get("", responses=answers(UserList))
async def list_users(api: ApiState, _caller: Operator, offset: Offset = 0, limit: Limit = 100) -> Response:
    """In the order in which they were added."""
    users, count = await api.users.page(offset=offset, limit=limit)
    shown = [user_on_the_wire(user) for user in users]
    return UserList(users=shown, count=count, offset=offset, limit=limit).response()


@router.post("", status_code=201, responses=answers(OneUser, 201, refusals=(409,)), openapi_extra=takes(_NewUser))
async def add(api: ApiState, caller: UserAdmin, body: JsonBody) -> Response:
    """`{email, role, password, first_name, last_name}`, all but `email` optional; without a password, a token is needed."""
    asked = read_form(_NewUser, body)
    user = await api.users.add(
        asked.email,
        role=asked.role,
        password=asked.password,
        first_name=asked.first_name,
        last_name=asked.last_name,
    )
    _log.info("user_added", user=user.id, role=user.role.value, by=caller.user.id)
    return OneUser(user=user_on_the_wire(user)).response(201)


@router.get("/{id}", responses=answers(OneUser))
async def retrieve(id: str, api: ApiState, _caller: Operator) -> Response:
    """One user."""
    return OneUser(user=user_on_the_wire(await _user(api, id))).response()


@router.post("/{id}", responses=answers(OneUser), openapi_extra=takes(_Change))
async def change(id: str, api: ApiState, caller: UserAdmin, body: JsonBody) -> Response:
    """`{role, password}`, both optional. A new password ends the user's sessions and bearer tokens."""
    user, asked = await _user(api, id), read_form(_Change, body)
    await api.users.change(user, role=asked.role, password=asked.password)
    _log.info("user_changed", user=user.id, fields=sorted(asked.model_fields_set), by=caller.user.id)
    return OneUser(user=user_on_the_wire(await _user(api, id))).response()


@router.delete("/{id}", responses=answers(Deleted))
async def remove(id: str, api: ApiState, caller: UserAdmin) -> Response:
    """Every credential of theirs ends at once; their jobs stay."""
    user = await _user(api, id)
    if user.id == caller.user.id:
        raise not_allowed("Nobody can remove themselves: another administrator has to")
    await api.users.remove(user)
    _log.info("user_removed", user=user.id, by=caller.user.id)
    return Deleted(id=user.id, object="user", deleted=True).response()


async def _user(api: Api, id: str) -> User:
    user = await api.users.get(segment(id))
    if user is None:
        raise not_found(f"User with id: {segment(id)[:100]} was not found")
    return user

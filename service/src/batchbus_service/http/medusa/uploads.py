"""Routes: putting files into the file store, and taking them out of it again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from batchbus_service.domain.ports import Upload
from batchbus_service.http.medusa.bodies import JsonBody, read_file_key, read_grant, refuse_compressed
from batchbus_service.http.medusa.downloads import address
from batchbus_service.http.medusa.schemas import Deleted, FileGrant, FileKey, UploadedFile, UploadList
from batchbus_service.http.server.callers import Writer
from batchbus_service.http.server.errors import invalid, not_allowed, not_found
from batchbus_service.http.server.multipart import BadMultipart, PartBegins, PartEnds, read_parts
from batchbus_service.http.server.openapi import answers, takes, takes_files
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(tags=["uploads"])

_Part = PartBegins | bytes | PartEnds


@router.post("/admin/uploads", responses=answers(UploadList, refusals=(429,)), openapi_extra=takes_files())
async def upload(request: Request, api: ApiState, caller: Writer) -> Response:
    """Files that anyone who has their address may fetch."""
    return await _received(request, api, caller.user.id, public=True)


@router.post("/admin/uploads/protected", responses=answers(UploadList, refusals=(429,)), openapi_extra=takes_files())
async def upload_protected(request: Request, api: ApiState, caller: Writer) -> Response:
    """Files that need a signed link: what jobs work on."""
    return await _received(request, api, caller.user.id, public=False)


@router.post("/admin/uploads/grants", responses=answers(FileGrant), openapi_extra=takes(FileGrant))
async def grant(api: ApiState, caller: Writer, body: JsonBody) -> Response:
    """Let services read a file that one has uploaded: jobs that they create on the bus may name it then.

    `services` are the names of their users at the broker, and take the place of those that were granted it before.
    """
    key, services = read_grant(body)
    if not await api.file_access.grant(caller, key, services):
        raise not_found(f"There is no upload with the key {key[:200]}")
    return FileGrant(file_key=key, services=services).response()


@router.delete("/admin/uploads", responses=answers(Deleted), openapi_extra=takes(FileKey))
async def delete(api: ApiState, caller: Writer, body: JsonBody) -> Response:
    """Remove a file that one has uploaded, or that a job of one's own has made."""
    key = read_file_key(body)
    if not await api.file_access.belongs_to(caller, key):  # the same for one that is not there
        raise not_allowed("Cannot delete a file that does not belong to the logged in user")
    await api.file_access.remove(key)
    return Deleted(id=key, object="file", deleted=True).response()


async def _received(request: Request, api: Api, user_id: str, *, public: bool) -> Response:
    """Every file of the form, or none of them."""
    refuse_compressed(request)
    with api.shares.uploads.held(user_id):
        return await _taken(request, api, user_id, public=public)


async def _taken(request: Request, api: Api, user_id: str, *, public: bool) -> Response:
    uploads: list[Upload] = []
    parts = read_parts(request.headers.get("content-type", ""), request.stream())
    try:
        async for event in parts:
            if not isinstance(event, PartBegins) or not event.file_name:
                continue  # a field, or a choice of files where none was chosen
            if event.name != "files":
                raise invalid(f"files are expected in the field files, not in {event.name[:100]}")
            uploads.append(
                await api.file_access.put(event.file_name, _until_it_ends(parts), user_id=user_id, public=public)
            )
    except BaseException as error:  # any error is raised again: only the files must not stay
        await api.file_access.discard(uploads)
        if isinstance(error, BadMultipart | ClientDisconnect):
            raise invalid(str(error) or "the client went away") from None
        raise
    shown = [UploadedFile(url=address(request, upload.key), key=upload.key) for upload in uploads]
    return UploadList(uploads=shown).response()


async def _until_it_ends(parts: AsyncIterator[_Part]) -> AsyncIterator[bytes]:
    """The bytes of the part that has just begun."""
    async for event in parts:
        if isinstance(event, bytes):
            yield event
        else:
            return

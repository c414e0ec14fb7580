"""Routes: putting files into the file store, and fetching them by a signed link that ends by itself."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from batchbus_service.http.bodies import JsonBody, read_file_key
from batchbus_service.http.callers import Reader, Writer
from batchbus_service.http.errors import ApiJson, forbidden, invalid, not_allowed, not_found
from batchbus_service.http.multipart import BadMultipart, PartBegins, PartEnds, read_parts
from batchbus_service.http.paths import segment
from batchbus_service.http.shelf import Upload
from batchbus_service.http.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(tags=["uploads"])

_Part = PartBegins | bytes | PartEnds


@router.post("/admin/uploads")
async def upload(request: Request, api: ApiState, caller: Writer) -> Response:
    """Files that anyone who has their address may fetch."""
    return await _received(request, api, caller.user.id, public=True)


@router.post("/admin/uploads/protected")
async def upload_protected(request: Request, api: ApiState, caller: Writer) -> Response:
    """Files that need a signed link: what jobs work on."""
    return await _received(request, api, caller.user.id, public=False)


@router.post("/admin/uploads/download-url")
async def download_url(request: Request, api: ApiState, caller: Reader, body: JsonBody) -> Response:
    """A link with which anyone can fetch the file for an hour."""
    key = read_file_key(body)
    if not await api.shelf.belongs_to(caller, key) or await api.shelf.size(key) is None:
        raise not_found(f"There is no file with the key {key[:200]}")
    return ApiJson({"download_url": f"{_address(request, key)}?{urlencode(api.keys.link(key))}"})


@router.delete("/admin/uploads")
async def delete(api: ApiState, caller: Writer, body: JsonBody) -> Response:
    key = read_file_key(body)
    if await api.shelf.belongs_to(caller, key):
        await api.shelf.remove(key)
    elif await api.shelf.size(key) is not None:
        raise not_allowed("Cannot delete a file that does not belong to the logged in user")
    return ApiJson({"id": key, "object": "file", "deleted": True})


@router.get("/uploads/{key:path}")
async def download(key: str, api: ApiState, expires: str = "", signature: str = "") -> Response:
    key = segment(key)
    size = await api.shelf.size(key)
    if size is None:
        raise not_found(f"There is no file with the key {key[:200]}")
    if not api.keys.opens(key, expires, signature):
        upload = await api.shelf.find(key)
        if upload is None or not upload.public:
            raise forbidden("This file needs a link that is signed and not older than an hour")
    name = key.rpartition("/")[2]
    headers = {
        "content-length": str(size),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        # A file from a stranger must not run as a page of ours.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "cache-control": "private, no-store",
    }
    return StreamingResponse(api.shelf.files.read(key), headers=headers, media_type=_media_type(name))


async def _received(request: Request, api: Api, user_id: str, *, public: bool) -> Response:
    """Every file of the form, or none of them."""
    uploads: list[Upload] = []
    parts = read_parts(request.headers.get("content-type", ""), request.stream())
    try:
        async for event in parts:
            if not isinstance(event, PartBegins) or event.file_name is None:
                continue
            if event.name != "files":
                raise invalid(f"files are expected in the field files, not in {event.name[:100]}")
            uploads.append(await api.shelf.put(event.file_name, _until_it_ends(parts), user_id=user_id, public=public))
    except BaseException as error:  # it is raised again, whatever it is: only the files must not stay
        for received in uploads:
            await api.shelf.remove(received.key)
        if isinstance(error, BadMultipart | ClientDisconnect):
            raise invalid(str(error) or "the client went away") from None
        raise
    return ApiJson({"uploads": [{"url": _address(request, upload.key), "key": upload.key} for upload in uploads]})


async def _until_it_ends(parts: AsyncIterator[_Part]) -> AsyncIterator[bytes]:
    """The bytes of the part that has just begun."""
    async for event in parts:
        if isinstance(event, bytes):
            yield event
        else:
            return


def _address(request: Request, key: str) -> str:
    return f"{request.base_url}uploads/{quote(key)}"


def _media_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=UTF-8" if kind.startswith("text/") else kind

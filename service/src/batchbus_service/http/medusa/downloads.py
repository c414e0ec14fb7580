"""Routes: fetching files from the file store, by a signed link that ends by itself, or by the address of a public file."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from batchbus_service.http.medusa.bodies import JsonBody, read_file_key
from batchbus_service.http.medusa.schemas import DownloadUrl, FileKey
from batchbus_service.http.server.callers import Reader
from batchbus_service.http.server.errors import ApiError, forbidden, not_found
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import ApiState
from batchbus_service.storage.files import FileFacts

__all__ = ["address", "attachment", "router", "wanted"]

router = APIRouter(tags=["uploads"])

_PASSIVE: Final = re.compile(r"image/.+|text/(csv|plain|tab-separated-values)|application/(json|pdf|zip|vnd\..+)")
"""Media types that no browser runs as a page of ours; an SVG is kept from it by the policy that goes with it."""
_RANGE: Final = re.compile(r"bytes=(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<suffix>\d+))", re.ASCII | re.IGNORECASE)
_STRANGE: Final = re.compile(r"[^A-Za-z0-9 ._()@+-]")


@router.post("/admin/uploads/download-url", responses=answers(DownloadUrl), openapi_extra=takes(FileKey))
async def download_url(request: Request, api: ApiState, caller: Reader, body: JsonBody) -> Response:
    """A link with which anyone can fetch the file for an hour."""
    key = read_file_key(body)
    if not await api.file_access.may_read(caller, key) or await api.file_access.size(key) is None:
        raise not_found(f"There is no file with the key {key[:200]}")
    return DownloadUrl(download_url=f"{address(request, key)}?{urlencode(api.keys.link(key))}").response()


@router.get(
    "/uploads/{key:path}",
    response_class=Response,
    responses=answers(media="*/*", refusals=(400, 403, 404, 416, 503)) | answers(status=206, media="*/*"),
)
async def download(request: Request, key: str, api: ApiState, expires: str = "", signature: str = "") -> Response:
    """A file, or the part of it that `Range` asks for. Without a valid signature, only if it is public."""
    key = segment(key)
    facts = await api.file_access.facts(key)
    opens = api.keys.opens(key, expires, signature)
    if not opens and (expires or signature):
        raise forbidden("This link is not good, or older than an hour: ask for another one")  # whatever the file is
    upload = None if opens else await api.file_access.find(key)
    if facts is None or not (opens or (upload and upload.public)):
        raise not_found(f"There is no file with the key {key[:200]}")  # nor is it said which protected ones there are
    name = key.rpartition("/")[2]
    headers = {
        "accept-ranges": "bytes",
        "last-modified": format_datetime(facts.modified, usegmt=True),
        "content-disposition": attachment(name),
        # A file from a stranger must not run as a page of ours.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }
    if facts.etag:
        headers["etag"] = facts.etag
    files, part = api.file_access.files, _part(request, facts)
    headers["content-length"] = str(facts.size if part is None else len(part))
    if part is None:
        return StreamingResponse(files.read(key), headers=headers, media_type=_media_type(name))
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{facts.size}"
    pieces = files.read(key, start=part.start, end=part.stop)
    return StreamingResponse(pieces, HTTPStatus.PARTIAL_CONTENT, headers, _media_type(name))


def address(request: Request, key: str) -> str:
    """Where a file can be fetched."""
    return f"{request.base_url}uploads/{quote(key)}"


def attachment(name: str) -> str:
    """A `Content-Disposition` that saves the answer under that name (RFC 6266), also if it has letters beyond ASCII (RFC 8187)."""
    plain = _STRANGE.sub("_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode())
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain or '_'}\"; filename*=UTF-8''{quote(name, safe='')}"


def wanted(header: str, size: int) -> range | None:
    """The bytes that a `Range` asks for (RFC 9110, 14.1.2); None for all, as for what is no range, or several.

    Raises `ApiError` for one that the file does not have.
    """
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or len(header) > 100:
        return None
    if asked["suffix"]:
        part = range(max(0, size - int(asked["suffix"])), size)
    else:
        first, last = int(asked["first"]), int(asked["last"] or size)
        if asked["last"] and last < first:
            return None
        part = range(first, min(last + 1, size))
    if not part:
        raise ApiError(416, "invalid_data", f"The file has {size:,} bytes", {"content-range": f"bytes */{size}"})
    return part


def _part(request: Request, facts: FileFacts) -> range | None:
    header = request.headers.get("range")
    if header is None:
        return None
    # A client that goes on with a file has to say which one it began with, lest it joins two that differ.
    if (begun := request.headers.get("if-range")) and begun != facts.etag:
        return None
    return wanted(header, facts.size)


def _media_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or ""
    if not _PASSIVE.fullmatch(kind):
        return "application/octet-stream"
    return f"{kind}; charset=UTF-8" if kind.startswith("text/") else kind

"""What is kept on disks: the data directory, the file store, and whether others could read it."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchbus_service.cli.checks.check import LONGEST_LOOK, Check

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["data_directory", "file_store", "private"]

_LEAST_FREE: Final = 256 * 1024**2
"""Bytes that the embedded database should find free: it writes its journal in files of up to 100 MB."""


def data_directory(settings: Settings) -> Check:
    """Whether it can be made or written to, and its disk has room. Nothing stays of the look."""
    from batchbus_service.domain.errors import BadSettings
    from batchbus_service.storage.private import try_to_write

    used = settings.embedded or settings.files_url is None
    if not used:
        return Check("data", True, "nothing is kept in the data directory")
    folder = settings.data_dir.absolute()
    try:
        if folder.exists():
            try_to_write(folder)
        else:
            _may_be_made(folder)
        free = shutil.disk_usage(_there(folder)).free
    except BadSettings as error:
        return Check("data", False, str(error), "Set BATCHBUS_DATA_DIR to a folder of batchbus's own.")
    except OSError as error:
        return Check(
            "data",
            False,
            f"The data directory {folder} cannot be used: {error.strerror or error}",
            "Set BATCHBUS_DATA_DIR to a folder of batchbus's own, or give the user of this process the right to write there.",
        )
    if free < _LEAST_FREE:
        return Check(
            "data",
            False,
            f"The disk of the data directory {folder} has {free / 1024**2:,.0f} MiB free, and the database may soon be "
            "unable to write",
            f"Make room: at least {_LEAST_FREE // 1024**2} MiB. Or set BATCHBUS_DATA_DIR to a folder on another disk.",
        )
    return Check("data", True, f"{folder}, with {free / 1024**3:,.1f} GiB free")


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _may_be_made(folder: Path) -> None:
    """Raises `OSError` if the folder could not be made, without making it."""
    above = _there(folder)
    if not above.is_dir():
        raise NotADirectoryError(f"{above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{above} cannot be written to")


async def file_store(settings: Settings) -> Check:
    """Whether a file can be written and deleted."""
    from batchbus_service.storage.files import FileStore

    if settings.files_url is None and not settings.data_dir.exists():
        return Check("files", True, "in the data directory, which the first start creates")
    url = settings.files_url or (settings.data_dir / "files").absolute().as_uri()
    try:
        files = FileStore.open(url)
        async with asyncio.timeout(LONGEST_LOOK), files.write("doctor/look") as file:
            await file.write(b"written and deleted by batchbus doctor")
        await files.delete("doctor/look")
    except (OSError, ValueError, TimeoutError) as error:
        return Check(
            "files",
            False,
            f"{url.partition('?')[0]} cannot be written to: {type(error).__name__}: {error}",
            "Check BATCHBUS_FILES_URL, and the permissions or credentials for it.",
        )
    return Check("files", True, url.partition("?")[0])


def private(settings: Settings) -> Check:
    """Whether others on this machine could read what only the service may."""
    from batchbus_service.storage.files import FileStore
    from batchbus_service.storage.private import looseness

    data = settings.data_dir
    try:
        found = [looseness(path) for path in (data, data / "jwt.secret", data / "client.env")]
    except OSError:  # that the data directory cannot be used is said elsewhere
        found = []
    if settings.files_url and settings.files_url.startswith("file:"):
        folder = FileStore.folder_of(settings.files_url)
        found.append(looseness(folder, allowed=0o070))
    if reasons := [reason for reason in found if reason]:
        hint = "Take the permissions of others away: chmod 700 for a folder, 600 for a file."
        return Check("private", False, "; ".join(reasons), hint)
    return Check("private", True, "what the service keeps on this machine is its user's alone")

"""Folders and files that hold secrets: made for their owner alone, and not used when others could have read or changed them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from batchbus_service.domain.errors import BadSettings

__all__ = ["keep_private", "looseness", "private_folder", "try_to_write"]

_OTHERS: Final = 0o007
_GROUP_AND_OTHERS: Final = 0o077
_TRIAL_BYTES: Final = 8192
_OURS: Final = ("mongodb", "files", "jwt.secret", "client.env")
"""Names in a data directory which show that it is one."""


def looseness(path: Path, *, allowed: int = 0) -> str | None:
    """Why a file or folder is not private, for people; None if it is, or is not there.

    `allowed`: permission bits that it may have beyond its owner's.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if found.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user (uid {found.st_uid})"
    loose = stat.S_IMODE(found.st_mode) & _GROUP_AND_OTHERS & ~allowed
    if not loose:
        return None
    who = "every user of this machine" if loose & _OTHERS else "its group"
    return f"{path} is open to {who} (mode {stat.S_IMODE(found.st_mode):04o})"


def keep_private(path: Path) -> None:
    """Raise `BadSettings` for a file with a secret that others may have read or written."""
    if (reason := looseness(path)) is not None:
        raise BadSettings(
            f"{reason}, and holds a secret: whoever read it can use it. Delete it, and a new one is made; or, if nobody "
            f"else has read it, `chmod 600 {path}`"
        )


def private_folder(folder: Path, *, shared: bool = False) -> None:
    """Make a folder for its owner alone, with those above it; of one that is there already, take away what others may.

    `shared`: its group may use it, too, as where several processes with users of their own share files. Raises
    `BadSettings` for a folder that is not ours to change, or has other things in it than those of a data directory.
    """
    if not folder.exists():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadSettings(f"The folder {folder} cannot be made: {error.strerror}. Name one that can be") from None
        return
    if not folder.is_dir():
        raise BadSettings(f"{folder} is not a folder. Name another one")
    allowed = 0o070 if shared else 0
    if (reason := looseness(folder, allowed=allowed)) is None:
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    names = {path.name for path in folder.iterdir()}
    is_ours = shared or not names or not names.isdisjoint(_OURS)
    if folder.stat().st_uid == os.geteuid() and is_ours and not mode & stat.S_ISVTX:
        folder.chmod(mode & (0o770 if shared else 0o700))
        return
    raise BadSettings(
        f"{reason}, and files of users would be readable there. Name a folder of its own, or `chmod "
        f"{'o-rwx' if shared else '700'} {folder}` as its owner"
    )


def try_to_write(folder: Path) -> None:
    """Write a file of a few kilobytes into the folder, and remove it. Raises `BadSettings` if that cannot be done.

    To be asked before anything relies on it: a database that cannot write says so in its own words, and late.
    """
    trial = folder / f".writable-{os.getpid()}"
    try:
        with trial.open("wb") as file:
            file.write(bytes(_TRIAL_BYTES))
            os.fsync(file.fileno())
    except OSError as error:
        raise BadSettings(
            f"The folder {folder} cannot be written to: {error.strerror}. Make room on its disk, give the user of this process "
            "the right to write there, or name another folder"
        ) from None
    finally:
        with suppress(OSError):
            trial.unlink()

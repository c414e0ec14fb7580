"""Folders and files that hold secrets: made for their owner alone, and not used when others could have read or changed them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from batchbus_service.domain.errors import BadSettings

__all__ = ["keep_private", "looseness", "private_folder"]

_OTHERS: Final = 0o007
_GROUP_AND_OTHERS: Final = 0o077
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
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
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

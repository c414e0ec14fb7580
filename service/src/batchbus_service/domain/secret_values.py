"""What a secret has to be, and where it may come from: a variable, or a file that a variable names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from batchbus_service.domain.errors import BadSettings

__all__ = ["check_secret", "from_files", "secret_from_file"]

_LEAST: Final = 16
_LEAST_DIFFERENT: Final = 6
_MOUNTED: Final = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Where container runtimes mount secrets, with modes of their own: nobody else is in the container."""
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_secret(secret: str) -> str:
    """The secret. Raises `ValueError` for one that could be guessed: too short, or of a few characters over and over."""
    if len(secret) < _LEAST:
        raise ValueError(f"takes a secret of at least {_LEAST} characters")
    if len(set(secret)) < _LEAST_DIFFERENT:
        raise ValueError(f"takes a secret that has at least {_LEAST_DIFFERENT} different characters")
    return secret


def from_files(environment: Mapping[str, str], fields: Iterable[str]) -> dict[str, str]:
    """The values of settings whose variable with `_FILE` behind it names a file. Raises `BadSettings`."""
    found = {}
    for field in fields:
        variable = f"BATCHBUS_{field.upper()}"
        if not (path := environment.get(f"{variable}_FILE")):
            continue
        if environment.get(variable):
            raise BadSettings(f"{variable} and {variable}_FILE are both set: set one of them")
        found[field] = secret_from_file(f"{variable}_FILE", Path(path))
    return found


def secret_from_file(variable: str, path: Path) -> str:
    """The text of the file, without a line end behind it. Raises `BadSettings` for one that is empty or open to others."""
    try:
        mode, owner = path.stat().st_mode, path.stat().st_uid
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSettings(f"{variable}: {path} cannot be read: {reason}") from None
    mounted = any(path.absolute().is_relative_to(folder) for folder in _MOUNTED)
    loose = stat.S_IMODE(mode) & (_WRITABLE_BY_OTHERS if mounted else _OPEN_TO_OTHERS)
    if loose or owner not in (os.geteuid(), 0):
        raise BadSettings(
            f"{variable}: {path} is open to others than its owner (mode {stat.S_IMODE(mode):04o}, uid {owner}), so that it "
            f"is no secret. `chmod 600 {path}`, as the user that batchbus runs as"
        )
    if not text:
        raise BadSettings(f"{variable}: {path} is empty")
    return text

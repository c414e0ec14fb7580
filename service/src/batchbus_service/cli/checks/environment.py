"""What can be said of the settings without asking anybody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from batchbus_service.cli.checks.check import Check

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["command", "required", "variables"]


def required(settings: Settings) -> Check:
    """Whether what is needed is set."""
    if not settings.embedded and settings.jwt_secret is None:
        return Check(
            "settings",
            False,
            "BATCHBUS_JWT_SECRET is not set, and HTTP cannot be served without it.",
            "Set it to a secret of at least 16 characters, the same in every process that serves HTTP.",
        )
    return Check("settings", True, f"all can be used; the data directory is {settings.data_dir.absolute()}")


def variables() -> Check:
    """Whether a variable looks like a setting, and is none."""
    from batchbus_service.domain.settings import Settings
    from batchbus_service.domain.variables import unknown_variables

    unknown = unknown_variables(os.environ, Settings.variables())
    if not unknown:
        return Check("variables", True, "every BATCHBUS_ variable is one that batchbus reads")
    said = "; ".join(f"{name} is no setting" + (f", {near} is" if near else "") for name, near in unknown.items())
    return Check(
        "variables",
        False,
        said,
        "Correct the name, or take the variable out of the environment: nothing reads it. docs/settings.md has them all.",
    )


def command(settings: Settings) -> Check:
    """Which command these settings are for, and what is missing for production."""
    if not settings.embedded_parts:
        if settings.files_url is not None and settings.files_url.startswith("memory://"):
            return Check(
                "command",
                False,
                "BATCHBUS_FILES_URL is memory://, which every process has for itself: a worker finds no upload of `serve`",
                "Set it to a shared folder, file://…, or to a bucket, such as s3://….",
            )
        files = (
            ""
            if settings.files_url is not None
            else ("; files are in the data directory: set BATCHBUS_FILES_URL if they run on several machines")
        )
        return Check("command", True, f"`batchbus serve` and `batchbus worker`, any number of each{files}")
    parts, missing = " and ".join(settings.embedded_parts), " and ".join(settings.embedded_parts.values())
    are = "is" if len(settings.embedded_parts) == 1 else "are"
    return Check(
        "command",
        True,
        f"`batchbus up`, in one process, as {parts} {are} embedded. In production it is `batchbus serve` and "
        f"`batchbus worker`, which need {missing}",
    )

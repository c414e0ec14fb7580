"""Who may read which file: one answer for every way in. Files are denied unless they are granted.

Each may read its own uploads, public uploads, and the results of its own jobs. A service may read, besides, what the owner
of an upload or the settings grant it by its name. Operators, over HTTP or on the bus, may read any file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from batchbus_service.domain.bus_rules import UNVOUCHED, BusRules
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import JobListings, UploadStore
from batchbus_service.storage.files import InvalidKey, check_key
from batchbus_strategies import Json

__all__ = ["FileGrants", "is_ours", "named_files"]

_OURS: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}-.|(imports|exports|plans|errors|parked)/.", re.DOTALL)
_SHOWN: Final = 200


class FileGrants:
    """One per process. Every method may raise `StoreUnavailable`."""

    def __init__(self, uploads: UploadStore, jobs: JobListings, rules: BusRules) -> None:
        self._uploads = uploads
        self._jobs = jobs
        self._rules = rules

    async def to_user(self, user_id: str, key: str, *, public: bool) -> bool:
        """Whether a user over HTTP may read the file. `public`: also if it is a public upload of somebody else."""
        if (checked := _checked(key)) is None:
            return False
        upload = await self._uploads.get(checked)
        if upload and (upload.user_id == user_id or (public and upload.public)):
            return True
        return await self._jobs.made_file(checked, user_id=user_id)

    async def to_principal(self, principal: str, key: str) -> bool:
        """Whether who asks on the bus may read the file. For principals see `bus_rules`."""
        if self._rules.operates(principal):
            return True
        if (checked := _checked(key)) is None:
            return False
        upload = await self._uploads.get(checked)
        if upload:
            return upload.public or principal in upload.services
        if not is_ours(checked) and self._rules.grants(principal, checked):
            return True
        return not principal.startswith(UNVOUCHED) and await self._jobs.made_file(checked, principal=principal)

    async def refusal(self, job: Job, fields: Collection[str]) -> str | None:
        """Why a job that was asked for on the bus may not run, as it names a file that it may not read; None if it may.

        `fields`: those of the context by which its strategy reads files. The words are the same for a file that is not there.
        """
        if job.prepared or job.principal is None:
            return None
        for path, key in named_files(job.context, fields):
            if not await self.to_principal(job.principal, key):
                return f"{path}: There is no file with the key {key[:_SHOWN]} that {job.principal} may read"
        return None


def named_files(context: Mapping[str, Json], fields: Collection[str]) -> Iterator[tuple[str, str]]:
    """The files that a context names, each with its path in it.

    That are the texts in the fields by which a strategy reads files, and every text that has the form of a key of ours.
    """
    return ((path, text) for path, text in _texts(context, "") if path in fields or is_ours(text))


def is_ours(key: str) -> bool:
    """Whether the key is of the form that those of uploads have, and of what jobs and batchbus itself write."""
    return _OURS.match(key) is not None


def _checked(key: str) -> str | None:
    try:
        return check_key(key)
    except InvalidKey:
        return None


def _texts(value: Json | Mapping[str, Json], path: str) -> Iterator[tuple[str, str]]:
    """Every text in a context, with its path."""
    match value:
        case str():
            yield path, value
        case Mapping():
            for key, below in value.items():
                yield from _texts(below, f"{path}.{key}" if path else key)
        case list():
            for number, below in enumerate(value):
                yield from _texts(below, f"{path}.{number}")

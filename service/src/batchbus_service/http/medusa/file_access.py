"""Files that users upload or that their jobs make, and which of them a user may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from batchbus_events.ids import new_ulid
from batchbus_service.access import Principal
from batchbus_service.access.files import FileGrants
from batchbus_service.access.quota import Quota
from batchbus_service.domain.errors import StoreUnavailable, TooManyBytes
from batchbus_service.domain.ports import Upload, UploadStore
from batchbus_service.storage.files import FileFacts, FileStore, InvalidKey, check_key, clean_name
from batchbus_strategies import FileMissing

__all__ = ["FILE_COUNTS", "FileAccess"]

FILE_COUNTS: Final = 4096
"""Bytes with which every upload counts beside those that it has: its block in a file system, and the note about it."""


class FileAccess:
    """One per process. Methods that look something up may raise `StoreUnavailable`."""

    def __init__(
        self, files: FileStore, uploads: UploadStore, grants: FileGrants, *, max_bytes: int, max_of_user: int
    ) -> None:
        """`max_bytes`: of a file. `max_of_user`: of all uploads of a user."""
        self.files = files
        self._grants = grants
        self._uploads = uploads
        self._max_bytes = max_bytes

        async def counted(user_id: str, _up_to: int) -> int:
            return await uploads.bytes_of(user_id)

        self._quota = Quota(max_of_user, counted, TooManyBytes)

    async def prepare(self) -> None:
        """Have the store ready for use."""
        await self._uploads.prepare()

    async def put(self, name: str, pieces: AsyncIterator[bytes], *, user_id: str, public: bool) -> Upload:
        """Store a file under a key that cannot be guessed. If `pieces` raises, nothing is kept.

        The owner is written down before the file is there, so that no file is ever without one; and its size before the file is
        complete, so that none is ever left out when the user's bytes are counted.
        Raises: `FileTooLarge`, `TooManyBytes`.
        """
        upload = Upload(f"{new_ulid()}-{clean_name(name)}", user_id, public)
        async with self._quota.taking(user_id) as taking:
            await taking.take(FILE_COUNTS)
            await self._uploads.insert(upload, datetime.now(UTC))
            try:
                async with self.files.write(upload.key, max_bytes=self._max_bytes) as file:
                    async for piece in pieces:
                        await taking.take(len(piece))
                        await file.write(piece)
                    await self._uploads.keep(upload.key, taking.amount)
            except BaseException:
                with suppress(StoreUnavailable):  # the note counts until someone deletes the file that is not there
                    await self._uploads.remove(upload.key)
                raise
        return upload

    async def find(self, key: str) -> Upload | None:
        """What was noted about an uploaded file; None if it is not one."""
        return await self._uploads.get(key)

    async def facts(self, key: str) -> FileFacts | None:
        """None if there is no such file. Raises `InvalidKey`."""
        key = check_key(key)
        with suppress(FileMissing):
            return await self.files.facts(key)
        return None

    async def size(self, key: str) -> int | None:
        """Bytes; None if there is no such file. Raises `InvalidKey`."""
        facts = await self.facts(key)
        return facts.size if facts else None

    async def belongs_to(self, caller: Principal, key: str) -> bool:
        """Whether the caller may delete the file: what they uploaded or a job of theirs made; operators, any."""
        return caller.sees_all or await self._grants.to_user(caller.user.id, key, public=False)

    async def may_read(self, caller: Principal, key: str) -> bool:
        """Whether they may fetch it, and their jobs may read it: what belongs to them, and public uploads.

        Files without an owner, such as plans and row errors, are for operators alone; others get the same answer as for a
        file that is not there.
        """
        return caller.sees_all or await self._grants.to_user(caller.user.id, key, public=True)

    async def discard(self, uploads: Iterable[Upload]) -> None:
        """Take back files that were just put here. Raises nothing because of the database: only the files matter."""
        for upload in uploads:
            await self.files.delete(upload.key)
            with suppress(StoreUnavailable):
                await self._uploads.remove(upload.key)
            self._quota.freed(upload.user_id)

    async def grant(self, caller: Principal, key: str, services: Sequence[str]) -> bool:
        """Let these services read an upload, and no others. False if the caller has no upload with that key; operators have all."""
        try:
            upload = await self.find(check_key(key))
        except InvalidKey:
            return False
        if upload is None or not (caller.sees_all or upload.user_id == caller.user.id):
            return False
        await self._uploads.grant(upload.key, services)
        return True

    async def remove(self, key: str) -> None:
        """Does nothing if there is no such file. Whose it was stays known: to delete it again is no error, for them alone."""
        await self.files.delete(key)
        if upload := await self.find(key):
            await self._uploads.keep(key, 0)
            self._quota.freed(upload.user_id)

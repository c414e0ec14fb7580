"""Files that users upload or that their jobs make, and which of them a user may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo import WriteConcern

from batchbus_events.ids import new_ulid
from batchbus_service.access import Principal
from batchbus_service.domain.ports import StoreUnavailable
from batchbus_service.storage.files import FileFacts, FileStore, InvalidKey, check_key, clean_name
from batchbus_service.storage.mongo.driver import answered
from batchbus_strategies import FileMissing

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["FileAccess", "Upload"]

_DURABLE: Final = WriteConcern(w="majority", j=True)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a user put here."""

    key: str
    user_id: str
    public: bool
    """Whether anyone who has its address may fetch it."""


class FileAccess:
    """One per process. Methods that look something up may raise `StoreUnavailable`."""

    def __init__(self, files: FileStore, database: AsyncIOMotorDatabase[dict[str, Any]], *, max_bytes: int) -> None:
        self.files = files
        self._jobs = database["jobs"]
        self._uploads = database.get_collection("uploads", write_concern=_DURABLE)
        self._max_bytes = max_bytes

    async def put(self, name: str, pieces: AsyncIterator[bytes], *, user_id: str, public: bool) -> Upload:
        """Store a file under a key that nobody can guess. If `pieces` raises, nothing is kept. Raises `FileTooLarge`.

        Whose it is is noted down before the file is there, so that no file is ever nobody's.
        """
        upload = Upload(f"{new_ulid()}-{clean_name(name)}", user_id, public)
        document = {"_id": upload.key, "user_id": user_id, "public": public, "created_at": datetime.now(UTC)}
        with answered():
            await self._uploads.insert_one(document)
        try:
            async with self.files.write(upload.key, max_bytes=self._max_bytes) as file:
                async for piece in pieces:
                    await file.write(piece)
        except BaseException:
            with suppress(StoreUnavailable), answered():  # a note about a file that is not there does no harm
                await self._uploads.delete_one({"_id": upload.key})
            raise
        return upload

    async def find(self, key: str) -> Upload | None:
        with answered():
            document = await self._uploads.find_one({"_id": key})
        return Upload(document["_id"], document["user_id"], document["public"]) if document else None

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
        return caller.sees_all or await self._granted(caller, key, public=False)

    async def may_read(self, caller: Principal, key: str) -> bool:
        """Whether they may fetch it, and their jobs may read it: what belongs to them, and public uploads.

        What is nobody's, such as plans and row errors, and what is not there is refused all the same, but to operators.
        """
        return caller.sees_all or await self._granted(caller, key, public=True)

    async def discard(self, uploads: Iterable[Upload]) -> None:
        """Take back files that were just put here. Raises nothing because of the database: only the files matter."""
        for upload in uploads:
            await self.files.delete(upload.key)
            with suppress(StoreUnavailable), answered():
                await self._uploads.delete_one({"_id": upload.key})

    async def remove(self, key: str) -> None:
        """Does nothing if there is no such file."""
        await self.files.delete(key)
        with answered():
            await self._uploads.delete_one({"_id": key})

    async def _granted(self, caller: Principal, key: str, *, public: bool) -> bool:
        try:
            key = check_key(key)
        except InvalidKey:
            return False
        upload = await self.find(key)
        if upload and (upload.user_id == caller.user.id or (public and upload.public)):
            return True
        with answered():
            made = {"result.file_key": key, "created_by": caller.user.id}
            return await self._jobs.find_one(made, {"_id": True}) is not None

"""The audit trail on MongoDB: the collection `audit`."""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING, IndexModel

from batchbus_service.domain.ports.audit import AuditRecord
from batchbus_service.storage.mongo.collection import Collection, Database
from batchbus_service.storage.mongo.driver import Stored
from batchbus_service.storage.mongo.reading import readable

__all__ = ["MongoAuditStore"]


class MongoAuditStore:
    """`AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._records = Collection(database, "audit")

    async def prepare(self) -> None:
        await self._records.create_indexes(IndexModel([("by", ASCENDING)], name="by"))

    async def append(self, record: AuditRecord) -> None:
        await self._records.insert(
            {
                "_id": record.id,
                "at": record.at,
                "what": record.what,
                "by": record.by,
                "address": record.address,
                "about": record.about,
                "details": dict(record.details),
            }
        )

    async def page(self, *, by: str | None, what: str | None, offset: int, limit: int) -> tuple[list[AuditRecord], int]:
        where = {name: value for name, value in (("by", by), ("what", what)) if value is not None}
        documents, count = await self._records.page(where, [("_id", DESCENDING)], offset=offset, limit=limit)
        return list(readable("audit record", documents, _record)), count


def _record(document: Stored) -> AuditRecord:
    return AuditRecord(
        id=document["_id"],
        at=document["at"],
        what=document["what"],
        by=document["by"],
        address=document["address"],
        about=document["about"],
        details=document["details"],
    )

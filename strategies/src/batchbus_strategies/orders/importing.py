"""`order-import`: sets in orders what their files may set."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from batchbus_strategies.orders.channels import with_channels
from batchbus_strategies.orders.record import Order
from batchbus_strategies.records import RecordImport
from batchbus_strategies.strategy import Fields, JobRun

__all__ = ["OrderImport"]


class OrderImport(RecordImport[Order]):
    """Changes orders that `Order_ID` names. It creates none, and deletes none."""

    batch_type = "order-import"

    async def with_shown(self, run: JobRun[BaseModel], documents: Sequence[Fields]) -> Sequence[Fields]:
        return await with_channels(run.catalog, documents)

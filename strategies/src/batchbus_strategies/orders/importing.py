"""`order-import`: sets in orders what their files may set."""

from __future__ import annotations

from batchbus_strategies.orders.record import Order
from batchbus_strategies.records import RecordImport

__all__ = ["OrderImport"]


class OrderImport(RecordImport[Order]):
    """Changes orders that `Order_ID` names. It creates none, and deletes none."""

    batch_type = "order-import"

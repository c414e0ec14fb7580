"""The batch types `order-export` and `order-import`: orders as a file, and back what may be set in one."""

from batchbus_strategies.orders.exporting import OrderExport, OrderExportContext
from batchbus_strategies.orders.importing import OrderImport
from batchbus_strategies.orders.record import Order

__all__ = ["Order", "OrderExport", "OrderExportContext", "OrderImport"]

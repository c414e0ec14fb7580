"""Orders that are found by their id and never created, with a total that a file cannot change."""

from typing import Annotated, Any, Literal

from pydantic import Field

from batchbus_strategies.records import Column, Named, Part, Record, RecordExport, RecordImport, Shown
from batchbus_strategies.testing import RecordContract


class Address(Part):
    city: Annotated[str | None, Column("Shipping City")] = None


class Order(Record, collection="orders", id_prefix="order_", id_column="Order_ID"):
    display_id: Annotated[int | None, Shown("Display_ID")] = None
    status: Annotated[Literal["pending", "completed", "canceled"], Column("Order status")] = "pending"
    shipping_address: Address = Address()
    notes: Annotated[dict[str, str], Named("Note <name>")] = Field(default_factory=dict)
    total: Annotated[int | None, Shown("Total")] = None


class OrderImport(RecordImport[Order]):
    batch_type = "order-import"


class OrderExport(RecordExport[Order]):
    batch_type = "order-export"


class TestOrders(RecordContract):
    import_type, export_type = OrderImport, OrderExport
    content = "Order_ID,Order status,Shipping City,Note gift,Total\no1,completed,Rome,yes,10\no2,,,,\no3,canceled,,,\n"
    wrong = "o4,completed,Oslo,,11"
    mended = "o4,completed,Oslo,,10"

    async def furnish(self) -> None:
        ids = ["o1", "o2", "o3", "o4", "order_01JZ0000000000000000000000"]
        common: dict[str, Any] = {"status": "pending", "total": 10, "shipping_address": None}
        await self.catalog["orders"].insert_many([{"_id": id_, **common} for id_ in ids])

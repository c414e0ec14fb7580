"""`order-export`: orders as the CSV that clients of Medusa v1 know, or in another format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from pydantic import BaseModel

from batchbus_strategies.list_config import ListConfig, complete_list_config, export_key
from batchbus_strategies.orders.channels import with_channels
from batchbus_strategies.orders.record import Order
from batchbus_strategies.records import RecordExport, RecordExportContext, Selection
from batchbus_strategies.records.selecting import order_of, query_of
from batchbus_strategies.strategy import Actor, Draft, Fields, JobRefused, JobRun

__all__ = ["OrderExport", "OrderExportContext"]

_RELATIONS: Final = ("customer", "shipping_address", "sales_channel")
_KNOWN_RELATIONS: Final = (
    *("billing_address", "cart", "claims", "currency", "customer", "discounts", "draft_order", "edits", "fulfillments"),
    *("gift_card_transactions", "gift_cards", "items", "payments", "refunds", "region", "returns", "sales_channel"),
    *("shipping_address", "shipping_methods", "swaps"),
)
"""Those of an order in Medusa v1."""


class OrderExportContext(RecordExportContext):
    """As for a product export, with a format and a choice of columns besides. Further keys are kept and ignored."""

    list_config: ListConfig = ListConfig(relations=list(_RELATIONS))
    """Where to begin (`skip`) and the order, by one field, as `{"created_at": "DESC"}`. It is made of the flat `limit`,
    `offset`, `order`, `fields` and `expand` when the job is created."""
    columns: list[str] | None = None
    """Columns to write, in this order; all of them if there are none given."""


class OrderExport(RecordExport[Order]):
    """Reads orders and changes nothing in them, the newest first."""

    batch_type = "order-export"
    context_model: ClassVar[type[BaseModel]] = OrderExportContext
    delimiter = ";"
    columns_field = "columns"

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for an unknown order, filter or column, or a value of the wrong kind."""
        complete_list_config(draft.context, _RELATIONS, _KNOWN_RELATIONS)
        if draft.context.get("filterable_fields") is None:
            draft.context.pop("filterable_fields", None)
        await super().prepare(draft, actor)

    def selection(self, context: RecordExportContext) -> Selection:
        assert isinstance(context, OrderExportContext)
        config = context.list_config
        if len(config.order) != 1:
            raise JobRefused("Orders are ordered by one field", field="order")
        ((name, direction),) = config.order.items()
        if direction not in ("ASC", "DESC"):
            raise JobRefused(f"The direction of an order is ASC or DESC, not {direction!r}", field="order")
        sort = order_of(self.schema, f"-{name}" if direction == "DESC" else name)
        return Selection(query_of(self.schema, context.filterable_fields), sort, config.skip, context.batch_size)

    async def with_shown(self, run: JobRun[BaseModel], documents: Sequence[Fields]) -> Sequence[Fields]:
        return await with_channels(run.catalog, documents)

    def description(self, count: int) -> tuple[str, str]:
        return "Order count to export", f"There will be {count} orders exported by this action"

    def file_key(self, run: JobRun[RecordExportContext], ending: str) -> str:
        return export_key(run, "orders", ending)

"""The sales channels of orders: in a copy that an order has, or else in the collection that its id leads to."""

from __future__ import annotations

from collections.abc import Sequence

from batchbus_strategies.lookup import look_up
from batchbus_strategies.strategy import Catalog, Fields

__all__ = ["with_channels"]


async def with_channels(catalog: Catalog, orders: Sequence[Fields]) -> Sequence[Fields]:
    """The orders, with a copy of their channel in those that name one in `sales_channel_id` and have none. A channel that
    has been deleted since is shown, as the order was made there; one that is gone is not."""
    lacking = {order.get("sales_channel_id") for order in orders if order.get("sales_channel") is None} - {None, ""}
    if not lacking:
        return orders
    found = await look_up(catalog["sales_channels"], "_id", sorted(lacking, key=str), fields=["name", "description"])
    channels = {
        id_: {"id": id_, "name": channel.get("name"), "description": channel.get("description")}
        for id_, channel in found.items()
    }
    return [
        {**order, "sales_channel": channel}
        if order.get("sales_channel") is None and (channel := channels.get(order.get("sales_channel_id")))
        else order
        for order in orders
    ]

"""An order, as the record whose columns the files of Medusa v1 have.

In its document are copies of what it was made with: `customer`, `shipping_address` and `sales_channel`. Beside them stand
`customer_id`, `email`, `region_id` and `sales_channel_id`, as Medusa has them; a channel of which there is no copy is looked
up by its id. Totals are in the minor unit of the order's
`currency_code`.

What a file may set is what somebody who ships and books orders knows better than the shop: the three statuses, and where
the parcel goes. All other columns are only compared: totals follow from lines and payments, which no column has, a
customer is changed by `customer-import`, and ids, numbers and dates are what an order is known by.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Annotated, Literal

from pydantic import Field

from batchbus_strategies.catalog.money import format_amount
from batchbus_strategies.records import Column, Part, Record, Shown
from batchbus_strategies.strategy import Fields

__all__ = ["Order"]


def _http_date(document: Fields) -> str:
    """When the order was made, as HTTP writes dates (RFC 9110, 5.6.7)."""
    moment = document.get("created_at")
    if not isinstance(moment, datetime):
        return ""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return format_datetime(aware.astimezone(UTC), usegmt=True)


def _total(name: str) -> Callable[[Fields], Decimal | None]:
    """In the major unit; None for a total that the document does not have."""

    def cell(document: Fields) -> Decimal | None:
        if (amount := document.get(name)) is None:
            return None
        return Decimal(format_amount(amount, str(document.get("currency_code") or "").lower()))

    return cell


def _of_customer(name: str, beside: str) -> Callable[[Fields], str]:
    """From the copy of the customer, or else from the order itself."""
    return lambda document: str((document.get("customer") or {}).get(name) or document.get(beside) or "")


class OrderCustomer(Part):
    """Who ordered, as they were then."""

    first_name: Annotated[str | None, Shown("Customer First name")] = None
    last_name: Annotated[str | None, Shown("Customer Last name")] = None


class ShippingAddress(Part):
    """Where the parcel goes."""

    address_1: Annotated[str | None, Column("Shipping Address 1"), Field(examples=["12 Church Lane"])] = None
    address_2: Annotated[str | None, Column("Shipping Address 2"), Field(examples=["Flat 3"])] = None
    country_code: Annotated[
        str | None,
        Column("Shipping Country Code"),
        Field(pattern="^[A-Za-z]{2}$", description="two letters, as in ISO 3166", examples=["gb"]),
    ] = None
    city: Annotated[str | None, Column("Shipping City"), Field(examples=["London"])] = None
    postal_code: Annotated[str | None, Column("Shipping Postal Code"), Field(examples=["SW1A 1AA"])] = None


class OrderChannel(Part):
    """Where it was ordered."""

    name: Annotated[str | None, Shown("Sales channel name", only_with="sales_channel")] = None
    description: Annotated[str | None, Shown("Sales channel description", only_with="sales_channel")] = None


class Order(Record, collection="orders", id_prefix="order_", id_column="Order_ID"):
    """An order, in the order of the columns of its file."""

    display_id: Annotated[int | None, Shown("Display_ID")] = None
    status: Annotated[
        Literal["pending", "completed", "archived", "canceled", "requires_action"],
        Column("Order status"),
        Field(examples=["completed"]),
    ] = "pending"
    created_at: Annotated[datetime | None, Shown("Date", cell=_http_date)] = None
    customer: OrderCustomer = OrderCustomer()
    email: Annotated[str | None, Shown("Customer Email", cell=_of_customer("email", "email"))] = None
    customer_id: Annotated[str | None, Shown("Customer ID", cell=_of_customer("id", "customer_id"))] = None
    shipping_address: ShippingAddress = ShippingAddress()
    region_id: Annotated[str | None, Shown("Shipping Region ID")] = None
    fulfillment_status: Annotated[
        Literal[
            "not_fulfilled",
            "partially_fulfilled",
            "fulfilled",
            "partially_shipped",
            "shipped",
            "partially_returned",
            "returned",
            "canceled",
            "requires_action",
        ],
        Column("Fulfillment Status"),
        Field(examples=["shipped"]),
    ] = "not_fulfilled"
    payment_status: Annotated[
        Literal["not_paid", "awaiting", "captured", "partially_refunded", "refunded", "canceled", "requires_action"],
        Column("Payment Status"),
        Field(examples=["captured"]),
    ] = "not_paid"
    subtotal: Annotated[int | None, Shown("Subtotal", cell=_total("subtotal"))] = None
    shipping_total: Annotated[int | None, Shown("Shipping Total", cell=_total("shipping_total"))] = None
    discount_total: Annotated[int | None, Shown("Discount Total", cell=_total("discount_total"))] = None
    gift_card_total: Annotated[int | None, Shown("Gift Card Total", cell=_total("gift_card_total"))] = None
    refunded_total: Annotated[int | None, Shown("Refunded Total", cell=_total("refunded_total"))] = None
    tax_total: Annotated[int | None, Shown("Tax Total", cell=_total("tax_total"))] = None
    total: Annotated[int | None, Shown("Total", cell=_total("total"))] = None
    currency_code: Annotated[str | None, Shown("Currency Code")] = None
    sales_channel: OrderChannel = OrderChannel()

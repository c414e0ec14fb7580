"""The batch types `customer-import` and `customer-export`: a customer as a record, and all that follows from that.

It is as short as it is since `records` does the rest, and is meant to be copied.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Part, Record, RecordExport, RecordImport, Reference

__all__ = ["Address", "Customer", "CustomerExport", "CustomerImport"]


class Address(Part):
    """Where a customer wants bills to be sent."""

    address_1: Annotated[str | None, Column("Address 1"), Field(examples=["12 Church Lane"])] = None
    address_2: Annotated[str | None, Column("Address 2"), Field(examples=[""])] = None
    postal_code: Annotated[str | None, Column("Postal Code", also=["Zip"]), Field(examples=["SW1A 1AA"])] = None
    city: Annotated[str | None, Column("City"), Field(examples=["London"])] = None
    country_code: Annotated[
        str | None,
        Column("Country Code", also=["Country"]),
        Field(pattern="^[A-Za-z]{2}$", description="two letters, as in ISO 3166", examples=["gb"]),
    ] = None


class Customer(Record, collection="customers", id_prefix="cus_"):
    """A customer of a shop. The key is the address of their mail."""

    email: Annotated[
        str,
        Key("Email", also=["E-mail", "Customer Email"]),
        Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$", examples=["ada@example.com"]),
    ]
    first_name: Annotated[str | None, Column("First Name"), Field(examples=["Ada"])] = None
    last_name: Annotated[str | None, Column("Last Name"), Field(examples=["Lovelace"])] = None
    phone: Annotated[str | None, Column("Phone"), Field(examples=["+44 20 7946 0000"])] = None
    group_ids: Annotated[list[str], Reference("customer_groups", by="name", column="Groups", also=["Group"])] = Field(
        default_factory=list
    )
    billing_address: Address = Address()


class CustomerImport(RecordImport[Customer]):
    """Creates and updates customers, by the address of their mail."""

    batch_type = "customer-import"


class CustomerExport(RecordExport[Customer]):
    """Exports customers, as a file that can be imported again."""

    batch_type = "customer-export"

"""The codes of errors that clients of product imports know, and the words for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from batchbus_strategies.records import CellError
from batchbus_strategies.records.fields import plain

__all__ = ["reworded"]

_CODES: Final = {
    "duplicate_name": "duplicate_option",
    "missing_name": "option_without_name",
    "unknown_name": "unknown_option",
    "unknown_record": "unknown_product",
    "unknown_element": "unknown_variant",
    "duplicate_element": "duplicate_id",
    "record_too_large": "product_too_large",
    "record_left_out": "product_left_out",
    "bad_choice": "bad_status",
}
_OF_COLUMNS: Final = {
    ("missing_key", "Product Handle"): "missing_handle",
    ("missing_value", "Product Title"): "missing_title",
    ("missing_value", "Variant Title"): "missing_title",
    ("duplicate_value", "Product Handle"): "duplicate_handle",
    ("duplicate_value", "Variant SKU"): "duplicate_sku",
    ("duplicate_value", "Variant Barcode"): "duplicate_barcode",
    ("different_value", "Product Id"): "conflicting_id",
    ("value_taken", "Product Handle"): "handle_taken",
    ("value_taken", "Variant SKU"): "sku_taken",
    ("value_taken", "Variant Barcode"): "barcode_taken",
    ("unknown_reference", "Product Collection Handle"): "unknown_collection",
    ("unknown_reference", "Product Collection Title"): "unknown_collection",
}
_BY_PLAIN: Final = {(code, plain(column)): known for (code, column), known in _OF_COLUMNS.items()}
_MESSAGES: Final = {
    "missing_handle": "every row needs a handle",
    "product_too_large": "the product with all its variants is too large for one document",
}


def reworded(error: CellError) -> CellError:
    """The same error with the code of product imports."""
    code, column = error.code, error.column or ""
    known = _CODES.get(code) or _BY_PLAIN.get((code, plain(column)), code)
    message = _MESSAGES.get(known, error.message)
    if code == "duplicate_record":
        return replace(error, code="duplicate_product", column="Product Id", message=f"{message}, with another handle")
    if code == "unknown_reference" and known == code:
        known = "unknown_category"
    if known == "missing_title":
        message = f"a new {'product' if plain(column).startswith('product') else 'variant'} needs a title"
    if known == "handle_taken":
        message += "; to update that one, give its id as Product Id"
    if code == "missing_value" and error.column is None:
        known, message = "missing_option", message.replace("no value for", "no value for the option")
    if code == "duplicate_combination":
        known, message = "duplicate_options", message.replace("has the same:", "has the same options:")
    return replace(error, code=known, message=message)

"""The environment that tests give to processes of the product."""

from __future__ import annotations

import os

__all__ = ["without_settings"]


def without_settings() -> dict[str, str]:
    """The variables of this process without those of batchbus: what they tell the tests is no setting of a service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BATCHBUS_")}

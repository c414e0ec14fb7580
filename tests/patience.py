"""How long a test waits for a signal: for ever, as far as a machine that works is concerned."""

from __future__ import annotations

from typing import Final

from batchbus_service.bootstrap import Patience

__all__ = ["PATIENCE", "SLOW_MACHINE"]

PATIENCE: Final = 100.0
"""Seconds after which a test gives up; only tests that fail ever wait so long. Less than the `timeout` of pytest."""
SLOW_MACHINE: Final = Patience(publish_grace=120.0)
"""For workers of which none dies: one that has little time of its machine is not to be taken for one that did."""

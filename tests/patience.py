"""How long a test waits for a signal: for ever, as far as a machine that works is concerned."""

from __future__ import annotations

from typing import Final

__all__ = ["PATIENCE"]

PATIENCE: Final = 100.0
"""Seconds after which a test gives up; only tests that fail ever wait so long. Less than the `timeout` of pytest."""

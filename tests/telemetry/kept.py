"""Logging for a test to set up, which is afterwards as it was before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

__all__ = ["logging_kept"]


@contextmanager
def logging_kept() -> Iterator[None]:
    """Use it around what calls `batchbus_service.telemetry.logs.configure`."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = handlers, level
        structlog.configure(**before)

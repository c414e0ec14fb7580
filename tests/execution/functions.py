"""What the tests of computations have called in another process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

__all__ = [
    "Particular",
    "environment",
    "fills_memory",
    "kills_itself",
    "leaves",
    "process_id",
    "raises",
    "raises_unpicklable",
    "says_where_and_stays",
    "segfaults",
    "unpicklable",
]


class Particular(Exception):
    """An error with a type of its own."""

    def __init__(self, sku: str) -> None:
        super().__init__(sku)
        self.sku = sku


class Unpicklable(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def process_id() -> int:
    return os.getpid()


def environment() -> dict[str, str]:
    return dict(os.environ)


def raises(sku: str) -> None:
    raise Particular(sku)


def raises_unpicklable() -> None:
    raise Unpicklable("one", "two")


def unpicklable() -> object:
    return lambda: None


def leaves() -> None:
    sys.exit(3)


def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfaults() -> None:
    ctypes.string_at(0)


def fills_memory() -> int:
    return len(bytearray(2**40))


def says_where_and_stays(place: Path) -> None:
    """Writes its process id there, and never returns."""
    unfinished = place.with_suffix(".new")
    unfinished.write_text(str(os.getpid()))
    unfinished.replace(place)
    while True:
        time.sleep(1)  # until somebody ends it

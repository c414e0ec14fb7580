"""How many steps of Python a function takes: opcodes, counted, so that a test of it does not depend on the machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["grows_linearly", "steps"]


def steps(call: Callable[[], object]) -> int:
    """Opcodes that the call carries out, in all functions of Python that it calls."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def grows_linearly(run: Callable[[int], object], sizes: tuple[int, int, int]) -> bool:
    """Whether twice the size takes at most about twice the steps, at three sizes, each twice the one before."""
    small, middle, large = (steps(lambda size=size: run(size)) for size in sizes)  # type: ignore[misc]
    return middle < 2.5 * small + 200 and large < 2.5 * middle + 200

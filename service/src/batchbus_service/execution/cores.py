"""How many processors this process may use: those of its affinity, and of the quota of its control group."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["usable_cores"]

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of control groups of version 2: microseconds of processor time, or `max`, and in how many microseconds."""


def usable_cores(quota: Path = _QUOTA) -> int:
    """1 or more. A quota counts to the next whole processor."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, _, period = quota.read_text().partition(" ")
        return max(1, min(cores, -(-int(allowed) // int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or no quota
        return max(1, cores)

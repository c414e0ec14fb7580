"""What a child process does about its parent: it ends when that ends, and tells it where it was when it crashed."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from typing import Final

__all__ = ["end_with", "tell_crashes"]

_SIGNAL_AT_PARENTS_DEATH: Final = 1
"""`PR_SET_PDEATHSIG` of Linux."""


def end_with(parent: int) -> None:
    """Have the kernel end this process when its worker ends, even by `kill -9` and in the middle of a call."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Sent to a whole group of processes, they are for the worker, which lets its runs come to an end.
        signal.signal(number, lambda *_: None)


def tell_crashes(file: int) -> None:
    """Write where the strategy was when it ends the process, for the worker to read."""
    faulthandler.enable(file=file, all_threads=False)
    real = os._exit

    def exit_with_traceback(code: int) -> None:
        faulthandler.dump_traceback(file=file, all_threads=False)
        real(code)

    os._exit = exit_with_traceback  # type: ignore[assignment]

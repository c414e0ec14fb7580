"""Functions that are called in another process: what goes there and what comes back, as bytes.

The bytes are pickled, and read by the strategy's own code alone: the run that called, and the process that computes.
Whoever passes them on need not look into them.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Final

from batchbus_strategies.strategy import StrategyError

__all__ = ["MOST_BYTES", "ComputationDied", "called", "packed_call", "result_of"]

MOST_BYTES: Final = 250 * 1024 * 1024
"""Of the arguments of a call, and of what it returns."""
_UNPICKLABLE: Final = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError)
"""What `pickle` raises for what it cannot take."""


class ComputationDied(Exception):
    """The process that `run.compute` was given has ended under it. The message says how, and where it was."""


class _Remote(Exception):
    """Shows the traceback of the other process as the cause of what is raised here, as `concurrent.futures` does."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def packed_call(function: Callable[..., object], args: tuple[object, ...]) -> bytes:
    """Raises `StrategyError` for what another process cannot be given."""
    name = getattr(function, "__qualname__", repr(function))
    try:
        call = pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL)
    except _UNPICKLABLE as error:
        raise StrategyError(
            f"compute: {name} and its arguments cannot be given to another process: {error}. It takes a function that "
            "is defined at the top of a module, and plain values",
            public=True,
        ) from error
    return _not_too_large(call, f"the arguments of {name}")


def called(call: bytes) -> bytes:
    """Carry a call out, and pack what it returns or raises. To be called in the process that computes."""
    try:
        function, args = pickle.loads(call)
        return _packed_value(function(*args), getattr(function, "__qualname__", repr(function)))
    except BaseException as error:  # noqa: BLE001 - raised again where the call came from
        return _packed_error(error)


def result_of(answer: bytes) -> object:
    """What the call returned. Raises what it raised, as far as that can be pickled, with the other process's traceback."""
    kind, value, text = pickle.loads(answer)
    if kind == "value":
        return value
    raise value from _Remote(text)


def _packed_value(value: object, name: str) -> bytes:
    try:
        answer = pickle.dumps(("value", value, ""), pickle.HIGHEST_PROTOCOL)
    except _UNPICKLABLE as error:
        raise StrategyError(f"compute: what {name} returned cannot be given to another process: {error}") from error
    return _not_too_large(answer, f"what {name} returned")


def _packed_error(error: BaseException) -> bytes:
    text = "".join(traceback.format_exception(error))
    if isinstance(error, Exception):
        try:
            answer = pickle.dumps(("error", error.with_traceback(None), text), pickle.HIGHEST_PROTOCOL)
            pickle.loads(answer)  # many an exception can be packed, and then not be made again
            return answer
        except Exception:  # noqa: BLE001 - the other process is told in words
            pass
    substitute = RuntimeError(f"The computation raised {type(error).__name__}: {_message(error)}")
    return pickle.dumps(("error", substitute, text), pickle.HIGHEST_PROTOCOL)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - there are none
        return "its str() raises"


def _not_too_large(packed: bytes, what: str) -> bytes:
    if len(packed) > MOST_BYTES:
        raise StrategyError(
            f"compute: {what} would have {len(packed):,} bytes, of {MOST_BYTES:,} at most: hand over the key of a file",
            public=True,
        )
    return packed

"""Where strategies run: apart from the engine's event loop, so that a slow chunk delays no heartbeat.

The phases of runs that are written as `async def` share one event loop in a thread of its own. Each call of a plain
`def` gets a thread, and each short call outside of a run, which somebody waits for, a thread and a loop of its own: it
must not wait behind a run that blocks the shared loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Container, Coroutine
from contextlib import AsyncExitStack
from typing import Final, Generic, TypeVar

import structlog

from batchbus_events.tasks import end
from batchbus_service.telemetry.background import Background
from batchbus_strategies import LeaseLost, RunCanceled, Services, StrategyError

__all__ = ["Call", "CallStopped", "StrategyExecutor", "StrategyRaised", "forget_locals", "tamed"]

_CLOSE_SECONDS: Final = 5.0
_BLOCKED_SECONDS: Final = 1.0
"""How long the strategies' loop may be blocked before the log says so."""
_STACK: Final = 8
"""How many of the innermost frames of a strategy the log names."""
_HINT: Final = "Await what takes long, or define the method with def: it gets a thread of its own"
_EXPECTED: Final = (Exception, RunCanceled, LeaseLost)
_NOT_FOR_FUTURES: Final = (StopIteration, concurrent.futures.CancelledError)
"""A future cannot carry the first, and turns the second into a cancellation of the task that awaits it."""

T = TypeVar("T")
ServicesFactory = Callable[[AsyncExitStack, Container[asyncio.AbstractEventLoop]], Awaitable[Services]]


class StrategyRaised(RuntimeError):
    """A strategy raised something that is no error, or has no words. The message has the type alone."""


class CallStopped(Exception):
    """A strategy's method was cancelled by `Call.stop`."""


class StrategyExecutor:
    """One per process. Use it as `async with StrategyHost(make_services) as host`.

    `make_services` is called on the strategies' loop; what it puts on the exit stack is closed there at the end. It is
    told on which loops strategies may use the services, as they come and go.
    """

    def __init__(self, make_services: ServicesFactory, *, background: Background | None = None) -> None:
        self._make_services = make_services
        self._background = background or Background(structlog.get_logger("batchbus"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="batchbus-strategies", daemon=True)
        self._loops = {self._loop}
        self._closing = False
        self._watching: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self.services: Services

    async def __aenter__(self) -> StrategyExecutor:
        self._thread.start()
        self.services = await self._on_loop(self._open())
        self._watching = self._background.start("watching the strategies' loop", self._watch)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._watching:
            await end(self._watching)
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._on_loop(self._close())
        except TimeoutError:
            return  # A strategy blocks the loop. Nothing ends it but the process, which its daemon thread does not keep.
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    def start(self, function: Callable[..., Awaitable[T] | T], *args: object) -> Call[T]:
        """Set a method of a run to work."""
        if inspect.iscoroutinefunction(function):
            return _LoopCall(self._loop, function(*args), _what(function, args))
        return _ThreadCall(function, *args)

    async def call(self, function: Callable[..., Awaitable[T] | T], *args: object) -> T:
        """Call a short method of a strategy, outside of a run, and wait for what it returns.

        Raises what it raises, as an `Exception`: there is no run that `RunCanceled` or `LeaseLost` could speak of.
        """
        if inspect.iscoroutinefunction(function):
            call: Call[T] = _ThreadCall(self._on_own_loop, function, *args)
        else:
            call = _ThreadCall(function, *args)
        try:
            return await asyncio.wrap_future(call.future)
        except (RunCanceled, LeaseLost) as error:
            raise RuntimeError(_named(error)) from error

    def _on_own_loop(self, function: Callable[..., Coroutine[None, None, T]], *args: object) -> T:
        async def lent() -> T:
            loop = asyncio.get_running_loop()
            self._loops.add(loop)
            try:
                return await function(*args)
            finally:
                self._loops.discard(loop)

        return asyncio.run(lent())

    def _run_loop(self) -> None:
        """A strategy's background task that calls `sys.exit`, or stops the loop, does not end it for the others."""
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - the operator gets to know; the other strategies go on
                structlog.get_logger("batchbus").error("strategies_loop_interrupted", exc_info=error)

    async def _watch(self) -> None:
        """A strategy that blocks the loop holds up all others on it: it is named, with what it is doing."""
        log = structlog.get_logger("batchbus")
        while True:
            began = time.monotonic()
            answer = asyncio.run_coroutine_threadsafe(_nothing(), self._loop)
            answered = asyncio.wrap_future(answer)
            await asyncio.wait([answered], timeout=_BLOCKED_SECONDS)
            # Both were read a moment ago at most, so the strategy that is named here is at work now.
            task, frame = asyncio.current_task(self._loop), sys._current_frames().get(self._thread.ident or 0)
            if not answered.done() and task is not None and frame is not None:
                stack = "".join(traceback.format_stack(frame)[-_STACK:])
                log.warning("strategy_blocks_others", strategy=task.get_name(), doing=stack, way_out=_HINT)
                await asyncio.wait([answered])
                seconds = round(time.monotonic() - began, 1)
                log.warning("strategy_blocked_others", strategy=task.get_name(), seconds=seconds)
            await asyncio.wait([answered])  # a strategy may have cancelled it, with all that is on the loop
            await asyncio.sleep(_BLOCKED_SECONDS / 2)

    async def _on_loop(self, coroutine: Coroutine[None, None, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def _open(self) -> Services:
        return await self._make_services(self._stack, self._loops)

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()


class Call(Generic[T]):
    """A strategy's method at work. `future` has its result once it has really ended."""

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        # Giving up cancels the waiting task and not the future: the method is still at work.
        self.future.set_running_or_notify_cancel()

    def stop(self) -> None:
        """Cancel an `async def` at its next await. A thread cannot be stopped."""


class _LoopCall(Call[T]):
    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[None, None, T], name: str) -> None:
        super().__init__()
        self._loop = loop
        self._name = name
        self._task: asyncio.Task[T] | None = None
        self._stopped = False
        loop.call_soon_threadsafe(self._begin, coroutine)

    def stop(self) -> None:
        self._stopped = True
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    def _begin(self, coroutine: Coroutine[None, None, T]) -> None:
        self._task = self._loop.create_task(_tame(coroutine), name=self._name)
        self._task.add_done_callback(self._end)
        if self._stopped:
            self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            # Cancelled by itself, or by whom it awaited, it has failed like any other.
            self.future.set_exception(CallStopped() if self._stopped else _tamed(asyncio.CancelledError()))
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class _ThreadCall(Call[T]):
    """A thread per call, not a pool: a strategy that never ends must not use up a place that others wait for."""

    def __init__(self, function: Callable[..., Awaitable[T] | T], *args: object) -> None:
        super().__init__()
        context = contextvars.copy_context()

        def body() -> None:
            try:
                result = context.run(function, *args)
                if inspect.isawaitable(result):
                    raise TypeError(f"{function.__qualname__} returned an awaitable: define it with async def")
            except BaseException as error:  # noqa: BLE001 - raised in the task that awaits the future
                self.future.set_exception(_tamed(error))
            else:
                self.future.set_result(result)

        threading.Thread(target=body, name=f"batchbus-{function.__qualname__}", daemon=True).start()


def tamed(function: Callable[..., T], *args: object) -> T:
    """Call a strategy's code here and now: what must be quick, such as the validators of its context."""
    try:
        return function(*args)
    except BaseException as error:  # noqa: BLE001 - raised to the caller
        raise _tamed(error) from None


def forget_locals(error: BaseException) -> None:
    """Let go of what the functions that raised it held in their variables: a frame with a whole file, for one.

    An exception keeps its frames, and they keep it, until the garbage collector comes across them. The frames are not
    cleared: one may belong to a coroutine that has caught the exception, and goes on.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (known := waiting.pop()) is not None and id(known) not in seen:
            seen.add(id(known))
            BaseException.with_traceback(known, None)  # an assignment may be refused, as by a frozen dataclass
            waiting += [known.__cause__, known.__context__]
            waiting += known.exceptions if isinstance(known, BaseExceptionGroup) else ()


async def _nothing() -> None:
    """What a loop that is not blocked does at once."""


def _what(function: Callable[..., object], args: tuple[object, ...]) -> str:
    """The method, and the job that it works on, for people."""
    job_id = next((job_id for arg in args if (job_id := getattr(arg, "job_id", None))), None)
    return function.__qualname__ + (f" in job {job_id}" if job_id else "")


async def _tame(coroutine: Coroutine[None, None, T]) -> T:
    try:
        return await coroutine
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        if (mild := _tamed(error)) is error:
            raise
        raise mild from error


def _tamed(error: BaseException) -> BaseException:
    """What a strategy raised, as something that a future can carry and that has words for a log.

    A strategy that calls `sys.exit`, or worse, fails its own run, not the worker. What the engine has to tell apart
    stays of its kind: a run that was canceled or lost, and a job that cannot be done.
    """
    try:
        str(error)
        speaks = True
    except BaseException:  # noqa: BLE001 - the message says so
        speaks = False
    if speaks and isinstance(error, _EXPECTED) and not isinstance(error, _NOT_FOR_FUTURES):
        return error
    text = _named(error) if speaks else f"{_named(error)}, which has no words: its str() raises"
    for kind in (StrategyError, RunCanceled, LeaseLost):
        if isinstance(error, kind):
            return StrategyError(text, public=True) if kind is StrategyError else kind(text)
    return StrategyRaised(text)


def _named(error: BaseException) -> str:
    return f"The strategy raised {type(error).__name__}"

"""Finds replays that have to be planned or published, and makes attempts at them; takes over from a process that ended.

Every process may have a replayer. A replay belongs to the process that holds its claim. Its position is written after
each batch, so the next attempt repeats one batch at most.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchbus_events.bus import Bus, BusError
from batchbus_events.tasks import end
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.ports import Clock, HistoryReader, ReplayStore
from batchbus_service.domain.replay import Replay
from batchbus_service.operations.replay.event_history import Stopped
from batchbus_service.operations.replay.replay_attempt import AttemptEnded, ReplayAttempt, ReplayDependencies
from batchbus_service.telemetry.background import Background

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Replayer"]

_PLAYING: Final = "replays"
_LOOK_EVERY: Final = 2.0
"""Seconds; more often where claims are short."""
_LAST_BATCH: Final = 5.0
"""Seconds that a batch on its way may take when the process stops."""


class Replayer(Lifetime):
    """One per process. It works on one replay at a time."""

    def __init__(
        self,
        replays: ReplayStore,
        histories: HistoryReader,
        bus: Bus,
        clock: Clock,
        *,
        worker: str,
        folder: Path,
        claim: timedelta,
        log: FilteringBoundLogger,
        background: Background | None = None,
    ) -> None:
        """`folder`: where there is room for the events of a replay. `claim`: how long a process that ended is waited for."""
        self.replays = replays
        self._shared = ReplayDependencies(
            replays=self.replays,
            histories=histories,
            bus=bus,
            clock=clock,
            worker=worker,
            folder=folder,
            claim=claim,
            stopping=threading.Event(),
        )
        self._look_every = min(_LOOK_EVERY, claim.total_seconds() / 3)
        self._log = log
        self._background = background or Background(log)
        self._wanted = asyncio.Event()
        self._worked = asyncio.Condition()
        self._replayer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._replayer = self._background.start(_PLAYING, self._play)

    async def close(self) -> None:
        """Stop after the batch that is on its way, and leave the rest to another process."""
        self._shared.stopping.set()
        self._wanted.set()
        if self._replayer:
            await asyncio.wait([self._replayer], timeout=_LAST_BATCH)
            await end(self._replayer)

    def look(self) -> None:
        """There is a replay to carry out."""
        self._wanted.set()

    async def until(self, replay_id: str, reached: Callable[[Replay], bool], timeout: float) -> Replay:
        """The replay, once an attempt of this process brought it so far, or `timeout` seconds later as it is then.

        Raises: `UnknownReplay`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._worked:
                while not reached(await self.replays.get(replay_id)):
                    await self._worked.wait()
        return await self.replays.get(replay_id)

    async def _play(self) -> None:
        while not self._shared.stopping.is_set():
            self._wanted.clear()
            if not await self._play_one():
                with suppress(TimeoutError):
                    # Another process may have made a replay, or ended in the middle of one: nothing tells us.
                    async with asyncio.timeout(self._look_every * random.uniform(0.8, 1.2)):
                        await self._wanted.wait()

    async def _play_one(self) -> bool:
        """Returns whether there was one, and there may be another."""
        shared = self._shared
        try:
            now = shared.clock.now()
            replay = await self.replays.claim(shared.worker, now, now + shared.claim)
            if replay is None:
                return False
            await self._attempt(replay)
        except (StoreUnavailable, BusError) as error:
            self._log.warning("replays_interrupted", reason=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - the operator gets to know; the other replays have to go on
            self._background.broke(_PLAYING, error)
            return False
        async with self._worked:
            self._worked.notify_all()
        return True

    async def _attempt(self, replay: Replay) -> None:
        log = self._log.bind(replay_id=replay.id)
        log.info("replay_taken", state=replay.state.value, published=replay.published)
        attempt = ReplayAttempt(self._shared, replay, log)
        try:
            await attempt.take()
        except (AttemptEnded, Stopped):
            log.info("replay_left", published=attempt.replay.published)
        except (StoreUnavailable, BusError):
            raise
        except Exception as error:
            log.error("replay_failed", exc_info=error)
            reason = f"{type(error).__name__}: {error}"[:1000]
            with suppress(AttemptEnded):
                await attempt.change(lambda known, now: known.failed(reason, self._shared.worker, now))
        finally:
            await self.replays.release(replay)

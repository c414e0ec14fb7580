"""What happens in one simulated run: data, so that parts of it can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from batchbus_events.ids import derived_job_id

__all__ = [
    "Action",
    "Ask",
    "Away",
    "Crash",
    "Deploy",
    "Disconnect",
    "Freeze",
    "Operate",
    "OrderReplay",
    "Outage",
    "Plan",
    "Script",
    "SetClock",
    "Slow",
]


@dataclass(frozen=True, slots=True)
class Script:
    """How the strategy works on one job."""

    chunks: int = 2
    seconds: float = 0.1
    """Of each chunk, and of the preview."""
    breaks: int = 0
    """So many of its runs end with an error."""
    deaths: int = 0
    """So many of its runs end the process that they are in."""
    refuses: bool = False
    """It says that the job cannot be done."""
    deaf: float = 0.0
    """Seconds for which it does not notice that it is to stop, nor lets itself be cancelled."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A trigger is published, once more after each of these pauses."""

    at: float
    job: int
    word: Literal["created", "confirmed", "canceled"]
    number: int = 0
    """Tells triggers of the same kind for the same job apart."""
    dry_run: bool = False
    again_after: tuple[float, ...] = ()
    digest: str | None = None
    """Of the plan that a confirmation is for: the number of the run that made it."""


@dataclass(frozen=True, slots=True)
class Operate:
    """Somebody does something to a job over HTTP."""

    at: float
    job: int
    what: Literal["confirm", "cancel", "retry", "check again"]
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Crash:
    """A process is killed, and another started somewhat later."""

    at: float
    process: int
    """Of those that live."""
    back_after: float


@dataclass(frozen=True, slots=True)
class Freeze:
    """The calls of a process hang, while it thinks that nothing has happened."""

    at: float
    process: int
    seconds: float


Away = Literal["broker", "database", "publishing"]


@dataclass(frozen=True, slots=True)
class Outage:
    """Broker or database are away for everyone; or the broker has an alarm: it delivers, and accepts nothing."""

    at: float
    what: Away
    seconds: float


@dataclass(frozen=True, slots=True)
class SetClock:
    """Somebody sets the clock of the database server ahead by so many seconds, or back."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A process loses its connection to the broker, for so long: what it has not acknowledged is delivered again."""

    at: float
    process: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Slow:
    """The database takes up to so many seconds to answer, for so long; for ever if that is None."""

    at: float
    answers_within: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class OrderReplay:
    """Somebody has the past published again: it is planned, and run at once."""

    at: float
    number: int
    """Tells the replays of a plan apart."""
    types: tuple[str, ...]
    """Of events; none for all."""
    rate: int
    everyone: bool = False
    """Whether it goes to the exchange of all subscribers, and not to one queue."""
    pause_after: float | None = None
    """Seconds from its start until it is paused."""
    paused_for: float = 1.0
    aborted: bool = False
    """Whether it is aborted when it would be resumed."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """Each process of the older version is killed, one after the other, and one of the newer is started somewhat later."""

    at: float
    back_after: float


Action = Ask | Operate | OrderReplay | Crash | Freeze | Outage | SetClock | Disconnect | Slow | Deploy


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the simulation."""

    name: str
    processes: int
    lost: float
    """How likely the answer of a call is lost."""
    slowest: float
    """How long a call takes at most, in seconds."""
    scripts: Sequence[Script]
    actions: Sequence[Action]
    older: int = 0
    """So many of the processes that are there first are of an older version."""
    new_schema: bool = False
    """Whether the newer processes write jobs in a form that those cannot read."""

    @property
    def without_faults(self) -> bool:
        innocent = not any(script.deaths for script in self.scripts) and not self.older
        asked = all(isinstance(action, Ask | Operate | OrderReplay) for action in self.actions)
        return innocent and not self.lost and asked

    @property
    def replays(self) -> list[OrderReplay]:
        return [action for action in self.actions if isinstance(action, OrderReplay)]

    def without(self, action: Action) -> Plan:
        return replace(self, actions=[each for each in self.actions if each is not action])

    def job_id(self, job: int) -> str:
        return derived_job_id("simulation", f"{self.name} {job}")

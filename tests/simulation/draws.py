"""Plans, made up from their names by chance: the same name gives the same plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final, Literal

from tests.simulation.plan import (
    Action,
    Ask,
    Away,
    Crash,
    Deploy,
    Disconnect,
    Freeze,
    Operate,
    OrderReplay,
    Outage,
    Plan,
    Script,
    SetClock,
    Slow,
)

__all__ = ["planned"]

Size = Literal["small", "burst", "long"]
_SIZES: Final[tuple[Size, ...]] = ("small", "burst", "long")


def planned(name: str) -> Plan:
    """The plan of that name. `small:17~3` is `small:17` with other times. Raises `ValueError`."""
    original, varied, variation = name.partition("~")
    size, _, number = original.partition(":")
    if size not in _SIZES or not number.isdigit() or (varied and not variation.isdigit()):
        raise ValueError(f"a run is named small:17, burst:3, long:2, or small:17~1, not {name!r}")
    plan = {"small": _small, "burst": _burst, "long": _long}[size](original, Random(original))
    return _varied(plan, name) if varied else plan


def _varied(plan: Plan, name: str) -> Plan:
    """The same happens, each thing a little earlier or later: what was found once by chance may be found again."""
    chance = Random(name)
    moved = [replace(action, at=max(0.0, action.at + chance.uniform(-1, 1))) for action in plan.actions]
    return replace(plan, name=name, actions=sorted(moved, key=lambda action: action.at))


def _small(name: str, chance: Random) -> Plan:
    """Up to 15 jobs within a minute, and then whatever it takes."""
    jobs, until, faults = chance.randint(1, 15), chance.choice([5.0, 60.0]), chance.random() < 0.8
    actions: list[Action] = []
    for job in range(jobs):
        actions += _asked(job, chance.uniform(0, until), chance, spread=chance.choice([0.01, 3.0, 30.0]))
    if faults:
        for _ in range(chance.choice([0, 0, 1, 2, 3])):
            actions.append(Crash(chance.uniform(0, until), chance.randrange(3), chance.choice([0.1, 5.0, 40.0])))
        for _ in range(chance.choice([0, 0, 1, 2])):
            actions.append(Freeze(chance.uniform(0, until), chance.randrange(3), chance.choice([2.0, 20.0, 90.0])))
        away: tuple[Away, ...] = ("broker", "database")
        for what in away:
            if chance.random() < 0.3:
                actions.append(Outage(chance.uniform(0, until), what, chance.choice([0.5, 12.0, 45.0])))
    if faults:
        actions += _clock_is_set(name, until) + _broker_stumbles(name, until) + _slow_database(name, jobs, until)
    actions += _replays(name, until, faults=faults)
    processes = chance.randint(1, 3)
    lost = chance.choice([0.0, 0.02, 0.1]) if faults else 0.0
    older, new_schema = 0, False
    if faults:
        older, new_schema, deploys = _versions(name, processes, until)
        actions += deploys
    actions = _with_plans(actions, name, jobs, until)
    if lost:
        actions = [_ending(action) for action in actions]
    return Plan(
        name,
        processes=processes,
        lost=lost,
        slowest=chance.choice([0.001, 0.05, 0.5]),
        scripts=_some_deadly([_script(chance) for _ in range(jobs)], name)
        if faults
        else [_script(chance) for _ in range(jobs)],
        actions=sorted(actions, key=lambda action: action.at),
        older=older,
        new_schema=new_schema,
    )


def _with_plans(actions: Sequence[Action], name: str, jobs: int, until: float) -> list[Action]:
    """Some confirmations name a plan, and some jobs are checked again. By a chance of its own, as below."""
    chance = Random(f"{name} plans")
    if chance.random() < 0.6:
        return list(actions)

    def named(action: Action) -> Action:
        confirms = isinstance(action, Ask | Operate) and (
            action.word == "confirmed" if isinstance(action, Ask) else action.what == "confirm"
        )
        if isinstance(action, Ask | Operate) and confirms and chance.random() < 0.6:
            return replace(action, digest=chance.choice(["1", "1", "1", "2", "2", "3"]))
        return action

    checks = [
        Operate(chance.uniform(0, 2 * until), chance.randrange(jobs), "check again")
        for _ in range(chance.choice([0, 1, jobs, 2 * jobs]))
    ]
    confirmations = [
        Operate(check.at + chance.uniform(0, 20), check.job, "confirm", chance.choice([None, "1", "2", "3"]))
        for check in checks
        if chance.random() < 0.5
    ]
    return [named(action) for action in actions] + checks + confirmations


def _clock_is_set(name: str, until: float) -> list[Action]:
    """By a chance of its own, so that all else of a plan is as its number always was."""
    chance = Random(f"{name} clocks")
    if chance.random() < 0.75:
        return []
    times = chance.choice([1, 1, 2])
    return [
        SetClock(chance.uniform(0, until), chance.choice([-3600.0, -300.0, -5.0, 5.0, 300.0, 3600.0, 86400.0]))
        for _ in range(times)
    ]


def _broker_stumbles(name: str, until: float) -> list[Action]:
    """By a chance of its own, too."""
    chance = Random(f"{name} broker")
    actions: list[Action] = []
    if chance.random() < 0.25:
        actions.append(Outage(chance.uniform(0, until), "publishing", chance.choice([2.0, 30.0, 120.0])))
    if chance.random() < 0.25:
        for _ in range(chance.choice([1, 2, 4])):
            actions.append(
                Disconnect(chance.uniform(0, until), chance.randrange(3), chance.choice([0.0, 0.5, 15.0, 60.0]))
            )
    return actions


# The chances of the next three are called so that what `FOUND` in test_seeds.py names is as it was before they were added.


def _slow_database(name: str, jobs: int, until: float) -> list[Action]:
    """By a chance of its own, too: now and then its clock is set meanwhile, and somebody is frozen while asking for it;
    and somebody cancels a job that never comes."""
    chance = Random(f"{name} slow asked for")
    if chance.random() < 0.85:
        return []
    at = chance.uniform(0, until)
    actions: list[Action] = [Slow(at, chance.choice([1.0, 4.0, 8.0]), chance.choice([30.0, 300.0, None]))]
    if chance.random() < 0.6:
        set_at = at + chance.uniform(0, 120)
        actions.append(SetClock(set_at, chance.choice([-40.0, -25.0, -15.0, 15.0, 40.0])))
        actions.append(
            Freeze(set_at - chance.uniform(0, 30), chance.randrange(3), chance.choice([20.0, 35.0, 60.0, 90.0]))
        )
    if chance.random() < 0.5:
        actions.append(Ask(at + chance.uniform(0, 60), jobs, "canceled"))
    return actions


def _ending(action: Action) -> Action:
    """A database that is slow and loses answers, and does so for ever, is away."""
    return replace(action, seconds=300.0) if isinstance(action, Slow) and action.seconds is None else action


def _replays(name: str, until: float, *, faults: bool) -> list[Action]:
    """By a chance of its own, too: replays, and one more fault while each goes on."""
    chance = Random(f"{name} replays ordered")
    if chance.random() < 0.8:
        return []
    actions: list[Action] = []
    for number in range(chance.choice([1, 1, 2])):
        at = chance.uniform(0, 2 * until)
        actions.append(
            OrderReplay(
                at,
                number,
                types=chance.choice([(), (), (), ("batch.created", "batch.completed")]),
                rate=chance.choice([1, 4, 40, 1000]),
                everyone=chance.random() < 0.3,
                pause_after=chance.choice([None, None, 1.0, 10.0]),
                paused_for=chance.choice([1.0, 30.0]),
                aborted=chance.random() < 0.2,
            )
        )
        then, hit = at + chance.uniform(0, 20), chance.randrange(3)
        if faults:
            away: Away = chance.choice(["broker", "database"])
            trouble = (
                Crash(then, hit, 1.0),
                Freeze(then, hit, 60.0),
                Outage(then, away, 12.0),
                Disconnect(then, hit, 5.0),
            )
            actions.append(chance.choice(trouble))
    return actions


def _versions(name: str, processes: int, until: float) -> tuple[int, bool, list[Action]]:
    """By a chance of its own, too: how many processes are of an older version, whether they can read what the newer
    ones write, and when they are replaced, which they are if there is no other."""
    chance = Random(f"{name} versions at once")
    if chance.random() < 0.85:
        return 0, False, []
    older, new_schema = chance.randint(1, processes), chance.random() < 0.5
    deploy = Deploy(chance.uniform(0, 2 * until), chance.choice([0.5, 5.0]))
    replaced = older == processes or chance.random() < 0.6
    return older, new_schema, [deploy] if replaced else []


def _burst(name: str, chance: Random) -> Plan:
    """750 to 2,500 jobs, each created and then confirmed or canceled, as fast as one publisher can."""
    jobs = chance.choice([750, 750, 1000, 2500])
    actions: list[Action] = []
    for job in range(jobs):
        at = job * 0.001
        actions.append(Ask(at, job, "created", dry_run=True))
        actions.append(Ask(at + 0.0005, job, chance.choice(["confirmed", "confirmed", "confirmed", "canceled"])))
    if chance.random() < 0.5:
        actions.append(Crash(chance.uniform(0, 20), 0, 1.0))
    replays = Random(f"{name} replays ordered")
    if replays.random() < 0.5:
        actions.append(OrderReplay(replays.uniform(0, 60), 0, (), replays.choice([1000, 10_000])))
    return Plan(
        name,
        processes=3,
        lost=0.0,
        slowest=chance.choice([0.005, 0.02]),
        scripts=[Script(chunks=1, seconds=0.0)] * jobs,
        actions=sorted(actions, key=lambda action: action.at),
    )


def _long(name: str, chance: Random) -> Plan:
    """A few jobs, and broker or database away for hours, or a day."""
    jobs = chance.randint(3, 10)
    actions: list[Action] = []
    for job in range(jobs):
        actions += _asked(job, chance.uniform(0, 300), chance, spread=60.0)
    actions.append(
        Outage(
            chance.uniform(10, 200),
            chance.choice(["broker", "database"]),
            chance.choice([3600.0, 3600.0, 21600.0, 86400.0]),
        )
    )
    actions += _replays(name, 200.0, faults=True)
    older, new_schema, deploys = _versions(name, 2, 300.0)
    actions += deploys
    return Plan(
        name,
        processes=2,
        lost=0.0,
        slowest=0.05,
        scripts=[_script(chance) for _ in range(jobs)],
        actions=sorted(actions, key=lambda action: action.at),
        older=older,
        new_schema=new_schema,
    )


def _asked(job: int, at: float, chance: Random, *, spread: float) -> list[Action]:
    """What is asked of one job: in any order, some of it more than once."""
    dry_run = chance.random() < 0.5
    again = tuple(chance.uniform(0, 2 * spread) for _ in range(chance.choice([0, 0, 0, 1, 2])))
    asked: list[Action] = [Ask(at, job, "created", dry_run=dry_run, again_after=again)]
    for number in range(chance.choice([0, 1, 1, 2]) if dry_run else chance.choice([0, 0, 0, 1])):
        word = chance.choice(["confirmed", "confirmed", "canceled"]) if dry_run else "canceled"
        then = max(0.0, at + chance.uniform(-spread, 2 * spread))
        if chance.random() < 0.7:
            again = (chance.uniform(0, spread),) if chance.random() < 0.3 else ()
            asked.append(Ask(then, job, "confirmed" if word == "confirmed" else "canceled", number, again_after=again))
        else:
            asked.append(Operate(then, job, "confirm" if word == "confirmed" else "cancel"))
    if chance.random() < 0.2:
        asked.append(Operate(at + chance.uniform(0, 4 * spread), job, "retry"))
    return asked


def _some_deadly(scripts: list[Script], name: str) -> list[Script]:
    """Some jobs end their processes. By a chance of its own, so that all else of a plan is as its number always was."""
    chance = Random(f"{name} deaths")
    if chance.random() < 0.7:
        return scripts
    return [replace(script, deaths=chance.choice([0, 0, 1, 2, 3, 5])) for script in scripts]


def _script(chance: Random) -> Script:
    return Script(
        chunks=chance.randint(0, 4),
        seconds=chance.choice([0.0, 0.1, 1.0, 8.0]),
        breaks=chance.choice([0, 0, 0, 0, 1, 2]),
        refuses=chance.random() < 0.05,
        deaf=chance.choice([0.0, 0.0, 0.0, 2.0, 8.0]),
    )

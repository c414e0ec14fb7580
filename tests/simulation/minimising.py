"""Makes a plan that fails as small as it gets, so that a person can follow what happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.checks import Violation
from tests.simulation.plan import Plan
from tests.simulation.running import carry_out

__all__ = ["failure", "minimised", "story"]

_TRIES = 300


def failure(plan: Plan) -> Violation | None:
    try:
        carry_out(plan)
    except Violation as violation:
        return violation
    return None


def minimised(plan: Plan, violation: Violation) -> tuple[Plan, Violation]:
    """A smaller plan that fails in the same way, and how."""
    tries = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            tries += 1
            if tries > _TRIES:
                return plan, violation
            fails = failure(candidate)
            if fails is not None and _kind(fails) == _kind(violation):
                plan, violation, smaller = candidate, fails, True
                break
    return plan, violation


def story(plan: Plan, violation: Violation) -> str:
    """What to do, what must not happen, and what happened."""
    return "\n".join(
        [
            f"{plan.name} does not hold: {violation}",
            f"{plan.processes} processes, {plan.older} of them of an older version; {plan.lost:.0%} of answers are lost; a call takes up to {plan.slowest:g} s. In seconds:",
            *violation.__notes__,
        ]
    )


def _smaller(plan: Plan) -> Iterator[Plan]:
    jobs = {job for action in plan.actions if (job := getattr(action, "job", None)) is not None}
    if len(jobs) > 1:
        for job in sorted(jobs):
            yield replace(plan, actions=[each for each in plan.actions if getattr(each, "job", None) != job])
    for action in reversed(plan.actions):
        yield plan.without(action)
    if plan.processes > 1:
        yield replace(plan, processes=plan.processes - 1)
    if plan.lost:
        yield replace(plan, lost=0.0)
    if plan.older:
        yield replace(plan, older=0)
    for number, script in enumerate(plan.scripts):
        for simpler in (replace(script, breaks=0), replace(script, deaf=0.0), replace(script, chunks=1)):
            if simpler != script:
                yield replace(plan, scripts=[*plan.scripts[:number], simpler, *plan.scripts[number + 1 :]])


def _kind(violation: Violation) -> str:
    """The words without the job's id and what follows from its numbers."""
    return str(violation).partition(": ")[2].partition(":")[0].split("batch_")[0]

"""What the mutants replace is still there, and takes what its wrong twin takes."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.mutants.mutations import MUTATIONS, Mutation
from tests.mutants.plugin import found

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutant_takes_the_place_of_a_function_that_is_there(mutation: Mutation) -> None:
    _, _, real = found(mutation)
    wrong = mutation.make(real)
    assert inspect.isfunction(real) and wrong is not real
    assert inspect.iscoroutinefunction(real) == inspect.iscoroutinefunction(wrong)
    for suite in mutation.noticed_by:
        assert (ROOT / suite.partition(" ")[0]).is_file()


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 20

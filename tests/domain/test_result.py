"""A job's result keeps everything that a strategy has put into it, under whatever name and of whatever kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchbus_service.domain.result import MAX_ERRORS, JobResult
from batchbus_strategies import Json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    ["count", "advancement_count", "progress", "errors", "error_count", "error_parts", "stat_descriptors", "file_key"]
)


@given(st.dictionaries(_NAMES | st.text(max_size=5), _VALUES, max_size=8))
def test_what_was_stored_is_stored_again(stored: dict[str, Json]) -> None:
    """But for empty lists and noughts under the names of numbers and lists, which say nothing."""
    nothing = {"errors": [], "stat_descriptors": [], "error_count": 0, "error_parts": {}}
    expected = {name: value for name, value in stored.items() if not (name in nothing and value == nothing[name])}
    again = JobResult.read(stored).to_json()
    assert {name: again[name] for name in expected} == expected
    assert all(again[name] == stored[name] for name in again)


def test_a_value_that_is_not_of_its_kind_is_kept_as_the_strategys_own() -> None:
    odd: dict[str, Json] = {"count": "many", "errors": [1, "two"], "progress": True}
    assert JobResult.read(odd) == JobResult(odd)


def test_an_error_is_listed_even_if_the_list_is_full() -> None:
    full = JobResult(errors=tuple(str(number) for number in range(MAX_ERRORS)), error_count=250)
    more = full.with_error("the last", kept=250)
    assert len(more.errors) == MAX_ERRORS and more.errors[-1] == "the last" and more.error_count == 251


def test_errors_behind_the_checkpoint_go() -> None:
    assert JobResult(errors=("a", "b", "c"), error_count=3).with_error("d", kept=1) == JobResult(
        errors=("a", "d"), error_count=2
    )

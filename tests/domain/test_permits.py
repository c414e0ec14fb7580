"""How permits are given away: never more than a limit allows, whoever asks and whenever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from batchbus_service.domain.permits import GUARD_SECONDS, LOWEST_HOLDS_SECONDS, PermitWindow, reserve, window_of

T0 = 1_780_000_000.0
LIMITS = st.one_of(st.integers(1, 300).map(float), st.floats(0.05, 50))


@given(LIMITS, st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 40)), max_size=60))
def test_no_window_has_more_permits_than_the_limit_allows(per_second: float, asked: list[tuple[float, int]]) -> None:
    stored, now, moments = None, T0, list[float]()
    for pause, want in asked:
        now += pause
        reserved = reserve(stored, "geo", per_second, now, want)
        stored = reserved.window
        assert len(reserved.moments) <= want
        assert all(now <= moment < reserved.until for moment in reserved.moments)
        assert reserved.moments or reserved.until > now
        moments += reserved.moments
    assert moments == sorted(set(moments))
    in_seconds = Counter(int(moment) for moment in moments)
    assert max(in_seconds.values(), default=0) <= max(1.0, per_second)
    seconds, size = window_of(per_second)
    # Nor does any stretch of time as long as a window have more, since every one has its moments in the same places.
    assert all(later - earlier > seconds - 1e-6 for earlier, later in zip(moments, moments[size:], strict=False))


@given(st.floats(0.0001, 1_000_000))
def test_a_window_never_allows_more_than_the_limit(per_second: float) -> None:
    seconds, size = window_of(per_second)
    assert size >= 1 and size / seconds <= per_second * (1 + 1e-9)


def test_who_comes_first_under_a_low_limit_waits_for_no_more_than_the_next_second() -> None:
    first = reserve(None, "geo", 0.01, T0 + 50.5, 3)
    second = reserve(first.window, "geo", 0.01, T0 + 51.0, 3)
    third = reserve(second.window, "geo", 0.01, T0 + 51.1, 3)
    assert first.moments == (T0 + 51 + GUARD_SECONDS,)
    assert second.moments == (T0 + 151 + GUARD_SECONDS,)
    assert (third.moments, third.until) == ((), T0 + 151)


def test_permits_whose_moment_has_passed_are_gone() -> None:
    first = reserve(None, "geo", 10, T0 + 0.5, 100)
    assert len(first.moments) == 5
    assert min(first.moments) == T0 + 0.5


def test_what_is_used_up_now_is_taken_from_the_next_window_and_no_later_one() -> None:
    one = reserve(None, "geo", 10, T0, 100)
    two = reserve(one.window, "geo", 10, T0 + 0.1, 100)
    three = reserve(two.window, "geo", 10, T0 + 0.2, 1)
    assert (len(one.moments), len(two.moments)) == (10, 10)
    assert min(two.moments) == T0 + 1 + GUARD_SECONDS
    assert (three.moments, three.until, three.window) == ((), T0 + 1, two.window)


@given(st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([0.3, 1.0, 2.0, 7.0])), min_size=30, max_size=90))
def test_the_lowest_limit_holds_for_all_who_ask(asked: list[tuple[float, float]]) -> None:
    """And whoever asks for less comes to something, however often others ask for more."""
    stored: PermitWindow | None = None
    now, lowest = T0, 100.0
    for pause, per_second in asked:
        now += pause
        before, lowest = lowest, min(lowest, per_second)
        reserved = reserve(stored, "geo", per_second, now, 5)
        stored = reserved.window
        if before == lowest:
            assert stored.per_second == lowest
            assert len(reserved.moments) <= window_of(lowest)[1]


def test_a_lower_limit_holds_for_a_minute() -> None:
    low = reserve(None, "geo", 2, T0, 1).window
    soon = reserve(low, "geo", 10, T0 + LOWEST_HOLDS_SECONDS - 1, 100)
    later = reserve(soon.window, "geo", 10, T0 + LOWEST_HOLDS_SECONDS, 100)
    assert (len(soon.moments), soon.window.per_second) == (2, 2)
    assert (len(later.moments), later.window.per_second) == (10, 10)


def test_a_clock_that_was_set_back_stops_nothing_for_longer_than_two_windows() -> None:
    ahead = reserve(None, "geo", 10, T0 + 3600, 100).window
    assert len(reserve(ahead, "geo", 10, T0, 100).moments) == 10
    soon = reserve(None, "geo", 10, T0 + 2, 100).window
    assert reserve(soon, "geo", 10, T0, 100).moments == ()

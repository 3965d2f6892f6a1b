import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.measuring.windows import Tolerance, Traffic, failing_stretches, first_hold, has_empty_window

# Everything is compared with brute force, on a clock of whole ticks.


def brute_passes(seen: Traffic, tolerance: Tolerance, start_us: int) -> bool:
    end_us = start_us + tolerance.window_us
    inside = [good for at, good in zip(seen.arrivals_us, seen.good, strict=True) if start_us <= at < end_us]
    failed = sum(start_us <= at < end_us for at in seen.failures_us)
    return (
        bool(inside)
        and sum(inside) >= tolerance.goodput * len(inside)
        and failed <= tolerance.error_ratio * len(inside)
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Traffic, Tolerance, int, int]:
    ticks = st.integers(5, 44)
    arrivals = sorted(draw(st.lists(ticks, min_size=1, max_size=40)))
    seen = Traffic(
        start_us=5,
        end_us=45,
        arrivals_us=tuple(arrivals),
        good=tuple(draw(st.lists(st.booleans(), min_size=len(arrivals), max_size=len(arrivals)))),
        failures_us=tuple(sorted(draw(st.lists(ticks, max_size=4)))),
    )
    window_us = draw(st.integers(1, 8))
    tolerance = Tolerance(window_us, draw(st.sampled_from([0.3, 0.5, 0.8, 1.0])), draw(st.floats(0, 0.5)))
    return seen, tolerance, draw(st.integers(window_us, 15)), draw(st.integers(5, 45))


@given(worlds())
def test_failing_stretches_are_exactly_the_windows_that_fail(
    world: tuple[Traffic, Tolerance, int, int],
) -> None:
    seen, tolerance, *_ = world
    stretches = failing_stretches(seen, tolerance)
    for start_us in range(seen.start_us, seen.end_us - tolerance.window_us + 1):
        fails = any(stretch.after_us < start_us <= stretch.until_us for stretch in stretches)
        assert fails is not brute_passes(seen, tolerance, start_us), start_us


@given(worlds())
def test_the_first_hold_is_the_first_good_arrival_after_which_every_window_passes(
    world: tuple[Traffic, Tolerance, int, int],
) -> None:
    seen, tolerance, hold_us, disturbed_us = world
    last_us = seen.end_us - tolerance.window_us
    failing = [at for at in range(seen.start_us, last_us + 1) if not brute_passes(seen, tolerance, at)]
    hit = bool(failing) and failing[0] <= disturbed_us
    candidates = [at for at in seen.good_arrivals_us if not hit or at > failing[0]]
    holds = [
        at
        for at in candidates
        if at + hold_us <= seen.end_us
        and not any(at <= start <= at + hold_us - tolerance.window_us for start in failing)
    ]
    touches = [at for at in candidates if at <= last_us and at not in failing]
    found = first_hold(seen, tolerance, hold_us, disturbed_us)
    assert found.begins_us == (holds[0] if holds else None)
    if found.begins_us is not None:
        assert found.touched_us == touches[0]
        led = any(at < found.begins_us for at in (*seen.failures_us, *seen.arrivals_us))
        assert found.untouched is (not hit and not led)
        relapses = [at for at in failing if at > found.begins_us]
        assert (found.relapsed_us is None) is (not relapses)


@given(worlds())
def test_an_empty_window_is_noticed(world: tuple[Traffic, Tolerance, int, int]) -> None:
    seen, tolerance, *_ = world
    empty = any(
        not any(start <= at < start + tolerance.window_us for at in seen.arrivals_us)
        for start in range(seen.start_us, seen.end_us - tolerance.window_us + 1)
    )
    assert has_empty_window(seen, tolerance.window_us) is empty


@pytest.mark.parametrize(
    ("arrivals", "empty"),
    [
        pytest.param((2, 5, 8), False, id="gaps of just a window"),
        pytest.param((2, 5, 9), True, id="a gap of more"),
        pytest.param((3, 5, 8), True, id="nothing in the first window"),
        pytest.param((2, 5, 6), True, id="nothing in the last window"),
        pytest.param((), True, id="nothing at all"),
    ],
)
def test_an_empty_window_hides_in_a_gap_longer_than_a_window(arrivals: tuple[int, ...], empty: bool) -> None:
    seen = Traffic(0, 10, arrivals, tuple(True for _ in arrivals), ())
    assert has_empty_window(seen, 3) is empty

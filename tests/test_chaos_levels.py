"""Which rates a sweep tries, and what its levels show together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.levels.choosing import FIRST_PERCENT, next_rate, three_digits
from chaos.measuring.columns import columns
from chaos.measuring.objectives import Objectives
from chaos.measuring.performance import (
    Latency,
    Performance,
    carried,
    decided,
    highest_within,
    knee,
    performance,
)
from chaos.measuring.timeline import Timeline
from loadtests.rows import Row

GOAL = 0.99
NOTHING = Latency(None, None, None, None, None)


def level(rate_per_s: float, goodput: float = 1.0, e2e_s: float = 1.0) -> Performance:
    planned = 1000
    latency = Latency(e2e_s, e2e_s, e2e_s, e2e_s, e2e_s)
    return Performance(
        rate_per_s=rate_per_s,
        lasts_s=planned / rate_per_s,
        planned=planned,
        ok=planned,
        good=round(goodput * planned),
        goodput=goodput,
        goodput_interval=(max(0.0, goodput - 0.01), min(1.0, goodput + 0.005)),
        requests_per_s=rate_per_s,
        good_per_s=goodput * rate_per_s,
        output_tokens_per_s=10 * rate_per_s,
        prompt_tokens_per_s=None,
        in_flight=1.0,
        lag_p99_s=0.001,
        ttft=latency,
        tpot=latency,
        itl=latency,
        e2e=latency,
        outcomes={"ok": planned},
    )


def swept(limit_per_s: float, capacity_per_s: float, beyond: float = 0.2) -> list[Performance]:
    """A sweep of a service that carries rates up to a limit, and of higher ones that share."""
    done = [level(three_digits(FIRST_PERCENT / 100 * capacity_per_s))]
    while (rate := next_rate(done, GOAL, capacity_per_s)) is not None:
        done.append(level(rate, 1.0 if rate <= limit_per_s else beyond))
        assert len(done) < 40, "it never ends"
    return done


@given(st.floats(0.05, 1800), st.floats(0.3, 6), st.sampled_from([0.0, 0.2, 0.7, 0.98]))
def test_a_sweep_ends_tries_each_rate_once_and_closes_in_on_where_rates_cease_to_be_carried(
    capacity_per_s: float, true_share: float, beyond: float
) -> None:
    limit_per_s = capacity_per_s * true_share
    done = swept(limit_per_s, capacity_per_s, beyond)
    rates = [one.rate_per_s for one in done]
    assert len(rates) == len(set(rates)) <= 16
    highest = highest_within(done, GOAL)
    assert highest is not None
    above = min((rate for rate in rates if rate > highest.rate_per_s), default=None)
    if above is not None:
        assert highest.rate_per_s <= limit_per_s < above
        assert above / highest.rate_per_s < 1.6
    else:
        assert highest.rate_per_s > 4 * capacity_per_s or true_share > 4, "it gave up too soon"


def test_the_highest_rate_within_the_objectives_has_none_below_it_that_missed_them() -> None:
    levels = [level(1), level(4, 0.5), level(2), level(8)]
    found = highest_within(levels, GOAL)
    assert found is not None
    assert found.rate_per_s == 2
    assert highest_within([level(1, 0.9), level(2)], GOAL) is None


def test_whether_a_rate_is_carried_is_sure_only_where_its_interval_lies_on_one_side() -> None:
    assert (carried(level(1), GOAL), decided(level(1), GOAL)) == (True, True)
    assert (carried(level(1, 0.992), GOAL), decided(level(1, 0.992), GOAL)) == (True, False)
    assert (carried(level(1, 0.5), GOAL), decided(level(1, 0.5), GOAL)) == (False, True)
    few = replace(level(1), goodput_interval=None)
    assert not decided(few, GOAL)


@pytest.mark.parametrize(
    ("levels", "at"),
    [
        # An M/M/1 queue of 10/s: the mean time is 1 / (10 - rate), and power is at its most at half of it.
        ([level(rate, e2e_s=1 / (10 - rate)) for rate in (1, 3, 5, 7, 9)], 5),
        # A service of a fixed time until it is full, which then answers nobody in time.
        ([level(1, e2e_s=2), level(5, e2e_s=2), level(9, e2e_s=2), level(11, 0.1, 9)], 9),
        # Nobody looked beyond the best.
        ([level(1), level(2), level(4)], None),
        ([level(1), level(2, e2e_s=9)], None),
        ([], None),
    ],
)
def test_the_knee_is_where_throughput_by_latency_is_at_its_most(
    levels: list[Performance], at: float | None
) -> None:
    found = knee(levels)
    assert (None if found is None else found.rate_per_s) == at


def test_a_level_is_measured_after_its_warm_up_with_failures_as_infinitely_slow() -> None:
    rows = [
        Row(
            index,
            index / 2,
            "ok" if index != 39 else "http_503",
            index / 2,
            index / 2,
            index / 2,
            index / 2,
            (index / 2 + 0.1, index / 2 + 0.2, index / 2 + 0.4) if index != 39 else (),
            ended_s=index / 2 + 0.4,
            prompt_tokens=50,
            output_tokens=3,
        )
        for index in range(40)
    ]
    timeline = Timeline(
        rows=columns(rows), events=(), planned=40, warmup_s=2.0, plan_end_s=20.0, wanted_replicas=0, faults=()
    )
    found = performance(timeline, Objectives(0.5, 1.0), 2.0)
    assert (found.planned, found.ok, found.good) == (36, 35, 35)
    assert found.outcomes == {"http_503": 1, "ok": 35}
    assert found.goodput == pytest.approx(35 / 36)
    assert found.requests_per_s == pytest.approx(35 / 18)
    assert found.output_tokens_per_s == pytest.approx(3 * 35 / 18)
    assert found.prompt_tokens_per_s == pytest.approx(50 * 35 / 18)
    assert found.in_flight == pytest.approx(0.4 * 36 / 18, rel=0.02)
    assert found.ttft.p50_s == pytest.approx(0.1)
    assert found.ttft.p99_s == float("inf")
    assert found.ttft.mean_s == pytest.approx(0.1)
    assert found.tpot.p50_s == pytest.approx(0.15)
    assert found.itl.p50_s == pytest.approx(0.2)
    assert found.e2e.p90_s == pytest.approx(0.4)

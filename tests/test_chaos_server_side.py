"""What the server's own series, its counts and lifecycle events tell beside the records of requests."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.assertions.grammar import parse
from chaos.events import Event
from chaos.judging.evaluation import evaluate
from chaos.judging.phase_section import section as phase_section
from chaos.judging.recovery_section import section as recovery_section
from chaos.measuring.cold_start import cold_starts
from chaos.measuring.measurements import Measurements
from chaos.measuring.queue_time import QueueTime, queue_time
from chaos.measuring.recovery_time import Status
from chaos.measuring.timeline import Phase
from chaos.record.observed import CACHE_HITS, QUEUE_TIME, AskedSeries
from chaos.record.verdict import Verdict
from tests.support.killed_run import LIFE, measured, row, rows_of_a_kill

EDGES = (0.1, 0.5, 1.0, math.inf)


@pytest.fixture(scope="module")
def kill() -> Measurements:
    return measured(rows_of_a_kill(), *LIFE)


def buckets(waits: Callable[[int], Sequence[float]]) -> Mapping[float, Sequence[tuple[float, float | None]]]:
    """Each second's sample is about what left the queue in the five seconds before it."""
    return {
        edge: [
            (
                float(at_s),
                sum(sum(wait <= edge for wait in waits(second)) for second in range(at_s - 5, at_s)) / 5,
            )
            for at_s in range(64)
        ]
        for edge in EDGES
    }


def asked(
    hits: Callable[[int], float | None] | None = None, queue: object = None
) -> dict[str, tuple[AskedSeries, ...]]:
    found: dict[str, tuple[AskedSeries, ...]] = {}
    if hits is not None:
        found[CACHE_HITS] = (AskedSeries(points=tuple((float(at_s), hits(at_s)) for at_s in range(61))),)
    if isinstance(queue, Mapping):
        found[QUEUE_TIME] = tuple(
            AskedSeries(labels={"le": "+Inf" if math.isinf(edge) else f"{edge:g}"}, points=tuple(points))
            for edge, points in queue.items()
        )
    return found


@given(
    st.lists(st.sampled_from([0.05, 0.3, 0.7, 2.0]), min_size=20, max_size=60),
    st.sampled_from([50.0, 90.0, 95.0, 99.0]),
)
def test_a_quantile_of_the_queue_lies_between_the_edges_that_are_told(
    waits: list[float], percent: float
) -> None:
    found = queue_time(buckets(lambda _: waits), Phase("all", 10.0, 40.0), percent)
    assert isinstance(found, QueueTime)
    assert found.n == 30 * len(waits)
    true = np.sort(waits * 30)[math.ceil(percent / 100 * found.n - 1e-9) - 1]
    assert found.low_s <= true <= found.value_s <= found.high_s
    assert found.value_s == min(edge for edge in EDGES if edge >= true)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("p99(queue, baseline) <= 100ms", Verdict.PASSED),
        ("p90(queue, after(10s)) <= 100ms", Verdict.DEVIATED),
        ("p90(queue, after(10s)) <= 600ms", Verdict.INCONCLUSIVE),
        ("p90(queue, after(10s)) <= 1s", Verdict.PASSED),
        ("p90(queue, after(10s)) <= 400% of baseline", Verdict.DEVIATED),
        ("p90(queue, after(7s, 14s)) <= 100ms", Verdict.PASSED),
        ("p90(queue, fault) <= 1s", Verdict.INCONCLUSIVE),
    ],
)
def test_a_claim_about_the_queue_is_decided_on_the_edges_of_the_servers_buckets(
    text: str, verdict: Verdict, kill: Measurements
) -> None:
    queue = buckets(lambda second: [0.7] * 50 if 40 <= second < 45 else [0.05] * 50)
    assert evaluate(parse(text), kill, promql=asked(queue=queue)).verdict is verdict


def test_without_a_histogram_or_with_a_hole_in_it_the_queue_is_unknown_with_the_reason(
    kill: Measurements,
) -> None:
    text = "p99(queue, all) <= 1s"
    for promql in (None, {}, asked(lambda _: 0.5)):
        result = evaluate(parse(text), kill, promql=promql)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.reason is not None
        assert result.reason.startswith("the run kept no histogram of the time in the queue")
    holed = {
        edge: [each for each in points if not 20 < each[0] < 30]
        for edge, points in buckets(lambda _: [0.1]).items()
    }
    assert evaluate(parse(text), kill, promql=asked(queue=holed)).reason == (
        "Prometheus had no value of the time in the queue from 20.0 to 30.0 s"
    )


@pytest.mark.parametrize(
    ("hits", "status", "value_s", "interval_s"),
    [
        (lambda _: 0.5, Status.NO_IMPACT, 0.0, (0.0, 5.0)),
        (lambda at_s: 0.1 if 41 <= at_s < 49 else 0.5, Status.RECOVERED, 9.0, (3.0, 9.0)),
        (lambda at_s: 0.1 if at_s in {42, 47} else 0.5, Status.RECOVERED, 8.0, (2.0, 8.0)),
        (lambda at_s: 0.1 if at_s > 41 else 0.5, Status.NOT_RECOVERED, math.inf, (12.0, math.inf)),
        (lambda at_s: 0.1 if 41 <= at_s < 54 else 0.5, Status.NOT_RECOVERED, math.inf, (12.0, math.inf)),
        # Less than 90 % of the mean, and no less than the baseline itself now and then was.
        (lambda at_s: 0.4 if at_s in {20, 45} else 0.5, Status.NO_IMPACT, 0.0, (0.0, 5.0)),
        (lambda at_s: None if 40 < at_s < 50 else 0.5, Status.UNKNOWN, None, None),
        (lambda _: 0.0, Status.UNKNOWN, None, None),
        (None, Status.UNKNOWN, None, None),
    ],
)
def test_caches_are_warm_again_from_where_they_find_as_much_as_before_for_a_hold(
    hits: Callable[[int], float | None] | None,
    status: Status,
    value_s: float | None,
    interval_s: tuple[float, float] | None,
    kill: Measurements,
) -> None:
    found = recovery_section(kill, asked(hits))
    assert (found.cache_s, found.cache_interval_s) == (value_s, interval_s)
    assert (found.cache_s_reason is None) == (status in (Status.NO_IMPACT, Status.RECOVERED))


def test_a_cold_start_is_told_step_by_step_as_far_as_the_target_tells() -> None:
    steps = (
        Event(40.5, "replica_scheduled", "r2"),
        Event(42.0, "replica_pulled", "r2"),
        Event(42.3, "replica_running", "r2"),
    )
    found = recovery_section(measured(rows_of_a_kill(), *LIFE, *steps), None)
    assert found.cold_start_s == pytest.approx(3.8)
    [one] = found.cold_starts or ()
    told = (one.scheduled_s, one.pulled_s, one.running_s, one.ready_s, one.first_token_s)
    assert told == pytest.approx((0.3, 1.8, 2.1, 3.8, 4.0))
    [bare] = recovery_section(measured(rows_of_a_kill(), *LIFE), None).cold_starts or ()
    assert (bare.pulled_s, bare.pulled_s_reason) == (
        None,
        "the target does not tell of images, or it was started again in place",
    )


def test_without_a_new_replica_there_is_no_cold_start_and_one_that_is_never_ready_is_infinite() -> None:
    assert cold_starts(measured([], faults=()).timeline) == "nothing was injected"
    assert (
        cold_starts(measured(rows_of_a_kill(), *LIFE[:3]).timeline)
        == "no replica came into being after the fault"
    )
    never = recovery_section(measured(rows_of_a_kill(), *LIFE[:4]), None)
    assert never.cold_start_s == math.inf


def rows_with_events(*events: int, after: int = 3) -> Measurements:
    """Answers of three tokens, in as many events as said for the first ones and `after` for the others."""
    rows = []
    for index in range(600):
        one = row(index, index / 10)
        wanted = events[index - 450] if 0 <= index - 450 < len(events) else after
        stamps = tuple(np.linspace(one.intended_s + 0.1, one.intended_s + 0.15, wanted))
        rows.append(type(one)(**{**{name: getattr(one, name) for name in one.__slots__}, "token_s": stamps}))
    return measured(rows, *LIFE)


@pytest.mark.parametrize(
    ("run", "lost", "doubled"),
    [
        (rows_with_events(), 0, 0),
        (rows_with_events(2, 1, 5), 3, 2),
        (rows_with_events(after=2), None, 0),
        (rows_with_events(4, after=2), None, 1),
    ],
)
def test_tokens_are_lost_or_doubled_by_the_servers_count(
    run: Measurements, lost: int | None, doubled: int
) -> None:
    observed = [evaluate(parse(f"{name}_tokens(all) == 0"), run) for name in ("lost", "doubled")]
    assert [each.observed for each in observed] == [lost, doubled]
    told = phase_section(run.phases[-1], run, None)
    assert (told.lost_tokens, told.doubled_tokens) == (lost, doubled)
    if lost is None:
        assert "came in fewer events than tokens" in str(told.lost_tokens_reason)

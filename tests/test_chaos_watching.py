"""Conditions hold for as long as they must, guards trip when they must, and what is not known is never fine."""

import math
from typing import Any

import pytest

from chaos.collecting.figures import Figures
from chaos.errors import AbortedError
from chaos.experiment.watched import Condition, Guard, Watched, watched_problems
from chaos.faults.timetable import Step
from chaos.measuring.objectives import Objectives
from chaos.watching import Standing, Watching
from loadtests.rows import Row

FEW = Figures([0.0, 1.0, 2.0, 3.0, 30.0], frozenset({3}), Objectives(0.5, 5.0, None))


def watched(**values: Any) -> Watched:
    return Watched.model_validate({"of": "in_flight", "above": 5, **values})


def test_a_condition_must_hold_for_its_time_without_a_break() -> None:
    standing = Standing(watched(**{"for": "2s"}))
    for at_s, value, holds in [
        (0.0, 6, False),
        (1.9, 9, False),
        (2.0, 6, True),
        (2.5, 5, False),
        (3.0, 7, False),
    ]:
        standing.take(at_s, value)
        assert standing.holds(at_s) == holds, at_s
    standing.take(4.0, None, "no series")
    standing.take(4.5, 7)
    standing.take(6.0, 7)
    assert not standing.holds(6.0), "nobody knows whether it held at 4 s"
    assert standing.value == 7


@pytest.mark.parametrize(
    ("values", "value", "beyond"),
    [
        ({"above": "50%"}, 0.5, False),
        ({"above": "50%"}, 0.51, True),
        ({"above": "250ms"}, 0.3, True),
        ({"above": None, "below": 0.9}, 0.8, True),
        ({"above": None, "below": 0}, 0.0, False),
        ({"above": 10}, math.inf, True),
    ],
)
def test_a_bound_is_a_number_a_ratio_or_a_duration(
    values: dict[str, Any], value: float, *, beyond: bool
) -> None:
    assert watched(**values).exceeds(value) == beyond


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"promql": "up"}, "promql"),
        ({"of": None}, "promql"),
        ({"below": 3}, "above"),
        ({"above": None}, "above"),
    ],
)
def test_what_contradicts_itself_is_a_problem_of_its_key(values: dict[str, Any], key: str) -> None:
    (problem,) = watched_problems(watched(**values), prometheus=True)
    assert problem.key_path == (key,)


def test_an_expression_needs_a_prometheus() -> None:
    asked = Watched.model_validate({"promql": "up", "above": 1})
    assert not [*watched_problems(asked, prometheus=True)]
    (problem,) = watched_problems(asked, prometheus=False)
    assert "this one has none" in problem.complaint


def row(index: int, ended_s: float, *, ok: bool = True, ttft_s: float = 0.1) -> Row:
    sent_s = ended_s - 0.2
    return Row(
        index,
        sent_s,
        "ok" if ok else "http_503",
        sent_s,
        token_s=(sent_s + ttft_s,) if ok else (),
        ended_s=ended_s,
    )


def test_figures_tell_of_what_is_on_the_way_and_of_what_ended_lately() -> None:
    figures = Figures([0.0, 1.0, 2.0, 3.0, 30.0], frozenset({3}), Objectives(0.5, 5.0, None))
    assert figures.value("in_flight", 5.0, 2.5) == 3
    assert figures.value("error_ratio", 5.0, 2.5) is None
    figures.take([row(0, 2.6), row(1, 2.7, ok=False)], 3.0)
    assert figures.value("in_flight", 5.0, 3.5) == 1, "the fourth waits for another one"
    assert figures.value("error_ratio", 5.0, 3.5) == 0.5
    assert figures.value("goodput", 5.0, 3.5) == 0.5
    assert figures.value("ttft_p99", 5.0, 3.5) == math.inf
    figures.take([row(2, 9.0, ttft_s=0.7)], 9.0)
    assert figures.value("error_ratio", 2.0, 9.5) == 0.0
    assert figures.value("goodput", 2.0, 9.5) == 0.0
    assert figures.value("ttft_p99", 2.0, 9.5) == pytest.approx(0.5 + 0.2)
    assert figures.value("goodput", 0.4, 9.5) is None, "nothing has ended since"


def guarding(*values: float | None, **guard: Any) -> Watching:
    """A guard whose figure has these values, one at each look."""
    coming = iter(values)
    model = Guard.model_validate({"of": "error_ratio", "above": "50%", "unknown_for": "3s", **guard})
    return Watching({}, [model], lambda _watched, _now_s: (next(coming), "no request has ended"))


def test_a_guard_that_trips_says_at_which_value() -> None:
    watching = guarding(0.4, 0.5, 0.625)
    watching.require_safe(1.0)
    watching.require_safe(2.0)
    with pytest.raises(AbortedError, match=r"error_ratio over 5s above 0\.5, and it was 0\.625 at 3\.0 s"):
        watching.require_safe(3.0)


def test_a_guard_that_has_been_blind_for_too_long_ends_the_run() -> None:
    watching = guarding(None, None, 0.1, None, None, None)
    for at_s in (0.0, 2.9, 3.0, 4.0, 6.9):
        watching.require_safe(at_s)
    with pytest.raises(AbortedError, match=r"nothing was known of .* for 3\.0 s \(no request has ended\)"):
        watching.require_safe(7.0)


def test_of_two_steps_each_waits_for_its_own_condition() -> None:
    one, other = (Step(0.0, "inject", n, f"f#{n}", n, until_s=9.0) for n in range(2))
    conditions = {
        n: Condition.model_validate({"of": "in_flight", "above": bound, "within": "9s"})
        for n, bound in enumerate((3, 8))
    }
    watching = Watching(conditions, [], lambda _, now_s: (now_s, ""))
    assert watching.met([one, other], 3.0) == []
    assert watching.met([one, other], 4.0) == [one]
    assert watching.met([other], 9.0) == [other]
    assert watching.standing(other).value == 9.0


def test_the_nearest_of_several_series_counts() -> None:
    assert watched(above=1).nearest([1.0, 3.0, 2.0]) == 3.0
    assert watched(above=None, below=1).nearest([1.0, 3.0, 2.0]) == 1.0

"""Queries with holes: what each engine fills in, in its own labels, values and edges, and what cannot be filled."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dashboards.boards import fitting
from dashboards.boards.panels import Dashboard, Query, Row, tile
from dashboards.engines import REFERENCE, Engine, UntoldError, engine_of
from dashboards.queries.expression import Matcher, Samples, promql
from dashboards.queries.promql import total_rate
from exporters.profiles.library import profile
from exporters.profiles.profile import Absence, Series
from exporters.series import gateway, server
from tests.support.complete_profile import made

FOLDING = made(
    "x",
    request=(
        Series(
            name="x_total",
            type="counter",
            labels={"outcome": "why"},
            values={"outcome": {"stop|length": "ok", "abort": "aborted", ".*": "error"}},
        ),
        Series(name="y_total", type="counter", fixed={"outcome": "rejected"}),
    ),
    e2e_seconds=Series(name="z", type="histogram", edges=(1.0, 2.0, 4.0)),
)


def requests(operator: str, outcome: str) -> Samples:
    return Samples("request", matchers=(Matcher("outcome", operator, outcome),), function="rate")


def latencies(outcome: str, part: str, bound_s: float | None = None) -> Samples:
    matchers = (Matcher("outcome", "=", outcome),)
    return Samples("e2e_seconds", matchers=matchers, part=part, bound_s=bound_s, function="rate")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (requests("=", "ok"), 'rate(x_total{why=~"stop|length"}[$__rate_interval])'),
        (requests("=", "error"), 'rate(x_total{why=~".*",why!~"stop|length|abort"}[$__rate_interval])'),
        (requests("!=", "ok"), 'rate(x_total{why=~"abort|.*",why!~"stop|length"}[$__rate_interval])'),
        (requests("!=", "rejected"), 'rate(x_total{why=~"stop|length|abort|.*"}[$__rate_interval])'),
        (requests("=", "rejected"), "rate(y_total[$__rate_interval])"),
        (requests("=~", "ok|aborted"), 'rate(x_total{why=~"stop|length|abort"}[$__rate_interval])'),
        (latencies("ok", "_bucket", 2.5), r'rate(z_bucket{le=~"2|2\\.0"}[$__rate_interval])'),
        (Samples(gateway.GATEWAY_READY), "ds_gateway_replicas_ready"),
    ],
)
def test_matchers_are_put_into_the_engines_labels_and_values(asked: Samples, expected: str) -> None:
    assert expected in asked.over(without_prefix(FOLDING)).text


def test_a_bound_that_is_no_edge_there_is_counted_at_the_nearest_and_a_note_says_so() -> None:
    found = latencies("ok", "_bucket", 2.5).over(without_prefix(FOLDING))
    assert found.notes == ("Here within 2 s: 2.5 s is no bucket edge of z.",)


def without_prefix(engine: Engine) -> Engine:
    return replace(engine, profile=engine.profile.model_copy(update={"prefix": ""}))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Samples("running"), "not of this engine"),
        (Samples("queue_age_seconds"), "not of this engine"),
        (Samples(server.KV_CACHE_FRAGMENTATION), "our own exporters' alone"),
        (latencies("error", "_count"), "has no outcome=error there"),
    ],
)
def test_what_an_engine_does_not_tell_is_refused_with_the_reason(asked: Samples, reason: str) -> None:
    with pytest.raises(UntoldError, match=reason):
        asked.over(FOLDING)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Samples("ttft"), "there is no signal ttft, expected one of request"),
        (lambda: Samples("e2e_seconds", part="_bucket", bound_s=2.4), "2.4 is no bucket edge of e2e_seconds"),
    ],
)
def test_a_hole_that_no_engine_could_fill_is_a_value_error(wrong: Callable[[], Samples], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()


def test_an_expression_with_a_hole_has_no_text_before_an_engine_fills_it() -> None:
    waiting = promql("sum ({waiting})", waiting=Samples("waiting"))
    with pytest.raises(ValueError, match="depends on the engine"):
        _ = waiting.text
    assert waiting.over(REFERENCE).text == "sum (ds_requests_waiting)"
    assert waiting.over(engine_of(profile("sglang"))).text == ('sum ({__name__=~"sglang[:_]num_queue_reqs"})')


def test_what_our_own_exporters_do_not_tell_is_a_mistake_in_a_query_and_no_missing_panel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = tile("x", "y", "short", Query(total_rate("preemptions", ""), "x"))
    signals = {name: series for name, series in REFERENCE.profile.signals.items() if name != "preemptions"}
    absent = (Absence(signals=("preemptions",), reason="it never preempts"),)
    profile_ = REFERENCE.profile.model_copy(update={"signals": signals, "absent": absent})
    ours = replace(REFERENCE, profile=profile_)
    monkeypatch.setattr(fitting, "REFERENCE", ours)
    with pytest.raises(UntoldError, match="never preempts"):
        fitting.for_engine(Dashboard("x", "x", "x", (Row("x", (panel,)),), ()), ours)

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.assertions import OPERATORS, PHASES, TERMS, Dimension, parse
from chaos.errors import InputError
from chaos.evaluation import evaluate
from chaos.events import Event
from chaos.measurements import Measurements, measure
from chaos.recovery import Criteria
from chaos.slis import METRICS, Objectives
from chaos.timeline import FaultWindow, Timeline
from chaos.verdict import Verdict
from loadtests.records import OUTCOMES, RequestRecord

DOC = (Path(__file__).parent.parent / "docs" / "assertions.md").read_text()


def block(name: str) -> list[str]:
    return "\n".join(re.findall(rf"```{name}\n(.*?)```", DOC, re.DOTALL)).split("\n")


EXAMPLES = [line for line in block("assertions") if line]
REFUSED = [tuple(re.split(r"\s{3,}", line)) for line in block("refused") if line]


# --- The grammar.


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_docs_parses_and_reads_back(example: str) -> None:
    assert parse(str(parse(example))) == parse(example)


@pytest.mark.parametrize(("text", "complaint"), REFUSED, ids=[line[0] for line in REFUSED])
def test_every_refusal_of_the_docs_is_what_the_parser_says(text: str, complaint: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse(text)
    assert str(refusal.value) == complaint


def test_the_docs_name_every_term_operator_metric_phase_and_outcome() -> None:
    for word in (*TERMS, *OPERATORS, *METRICS, *PHASES):
        assert f'"{word}"' in DOC, word
    outcomes = DOC.split("## Outcomes")[1].split("##")[0]
    assert re.findall(r"`(\w+)`", outcomes) == list(OUTCOMES)


@pytest.mark.parametrize(
    ("text", "canonical", "bound"),
    [
        ("recovery.service<=15s", "recovery.service <= 15s", 15.0),
        ("  recovery.capacity\t<\n1 m 30 s ", "recovery.capacity < 1m30s", 90.0),
        ("p99( ttft ,baseline )<=250ms", "p99(ttft, baseline) <= 250ms", 0.25),
        ("p99.90(e2e,all) > 7us", "p99.90(e2e, all) > 7us", 7e-6),
        ("goodput(all) >= 95 %", "goodput(all) >= 95%", 0.95),
        ("goodput(all) >= 0.950", "goodput(all) >= 0.950", 0.95),
        ("goodput(all) == 1.0", "goodput(all) == 1.0", 1.0),
        ("error_ratio(fault) == 0", "error_ratio(fault) == 0", 0.0),
        ("goodput_rate(fault) >= 17.5 / s", "goodput_rate(fault) >= 17.5/s", 17.5),
        ("lost_requests==0", "lost_requests == 0", 0.0),
        ("outcome(http_503,fault)!=3", "outcome(http_503, fault) != 3", 3.0),
        ("ready(min,fault)>=7", "ready(min, fault) >= 7", 7.0),
        ("max(itl, all) <= 0s", "max(itl, all) <= 0s", 0.0),
    ],
)
def test_an_assertion_has_a_canonical_spelling_and_a_bound_in_base_units(
    text: str, canonical: str, bound: float
) -> None:
    assertion = parse(text)
    assert assertion.expression == str(assertion) == canonical
    assert assertion.bound == bound


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "column 1: expected a term such as recovery.service or .*, not 'the end'"),
        ("<= 15s", "column 1: expected a term such as recovery.service or .*, not '<='"),
        ("Recovery.Service <= 1s", "column 1: expected a term, not 'Recovery.Service'.*recovery.service"),
        ("p100(ttft, all) <= 1s", "column 1: expected a quantile from p1 to p99.99, not 'p100'"),
        ("p0(ttft, all) <= 1s", "column 1: expected a quantile from p1 to p99.99, not 'p0'"),
        ("p99.999(ttft, all) <= 1s", "column 1: expected a quantile from p1 to p99.99, not 'p99.999'"),
        ("p99 <= 1s", r"column 5: expected '\(' after p99, not '<='"),
        ("p99(ttft) <= 1s", r"column 9: expected ',', not '\)'"),
        ("p99(ttft, during) <= 1s", r"column 11: expected a phase \(baseline, .* or all\), not 'during'"),
        ("p99(ttft, all <= 1s", r"column 15: expected '\)', not '<='"),
        ("outcome(http_505, all) == 0", "column 9: expected an outcome .*did you mean http_503"),
        ("ready(max, all) >= 1", r"column 7: expected the word min \(min\), not 'max'"),
        ("recovery.service(all) <= 1s", r"column 17: expected an operator \(.*\), not '\(all\)'"),
        ("recovery.service =< 1s", "column 18: expected an operator .* not '=<'"),
        ("recovery.service <=", "column 20: expected a duration .* not 'the end'"),
        ("recovery.service <= 0", "column 21: expected a duration .* not '0'"),
        ("recovery.service <= -1s", "column 21: expected a duration .* not '-1s'"),
        ("recovery.service <= 15 seconds", "column 21: expected a duration .* not '15 seconds'"),
        ("recovery.service <= 1 5s", "column 21: expected a duration .* not '1 5s'"),
        ("recovery.service <= 15s please", "column 21: expected a duration .* not '15s please'"),
        ("recovery.service <= 9999999999h", "column 21: expected a duration .* not '9999999999h'"),
        ("goodput(all) >= 1", "column 17: expected a ratio .* not '1'"),
        ("goodput(all) >= 101%", "column 17: expected a ratio .* not '101%'"),
        ("goodput(all) >= 1.5", "column 17: expected a ratio .* not '1.5'"),
        ("goodput(all) >= 95ms", "column 17: expected a ratio .* not '95ms'"),
        ("goodput_rate(all) >= 18", "column 22: expected a rate such as 18/s, not '18'"),
        ("lost_requests <= 1.5", "column 18: expected a whole number, not '1.5'"),
        ("lost_requests <= \N{ARABIC-INDIC DIGIT ONE}", "column 18: expected a whole number"),
        (f"lost_requests <= {'9' * 400}", "column 18: expected a whole number"),
        ("requests(all) >= 10 requests(all)", "column 18: expected a whole number, not '10 requests"),
    ],
)
def test_a_wrong_assertion_is_refused_with_the_column_and_what_was_expected(
    text: str, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        parse(text)


_SPACE = st.sampled_from(["", " ", "\t", "  "])
_NUMBER = st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,3})?", fullmatch=True)
_BOUNDS = {
    Dimension.DURATION: st.lists(
        st.builds(str.__add__, _NUMBER, st.sampled_from(["ns", "us", "ms", "s", "m", "h"])),
        min_size=1,
        max_size=3,
    ).map(" ".join),
    Dimension.RATIO: st.sampled_from(["0", "0.5", "1.0", "95%", "99.9 %", "0%", "100%"]),
    Dimension.COUNT: st.integers(0, 10**6).map(str),
    Dimension.RATE: _NUMBER.map(lambda number: f"{number} / s"),
}


@st.composite
def assertion_texts(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*TERMS, "quantile"]))
    signature = TERMS["max" if name == "quantile" else name]
    if name == "quantile":
        name = draw(st.from_regex(r"p[1-9][0-9]?(\.[0-9]{1,2})?", fullmatch=True))
    words = [draw(st.sampled_from(choices)) for _, choices in signature.arguments]
    pieces = [name]
    for position, word in enumerate(words):
        pieces += ["," if position else "(", word]
    pieces += [")"] if words else []
    pieces += [draw(st.sampled_from(OPERATORS)), draw(_BOUNDS[signature.dimension])]
    return "".join(piece + draw(_SPACE) for piece in pieces)


@given(assertion_texts())
def test_whatever_the_grammar_makes_parses_and_reads_back(text: str) -> None:
    assertion = parse(text)
    assert parse(str(assertion)) == assertion
    assert 0 <= assertion.bound < math.inf


@given(
    st.text(max_size=60)
    | st.text("p9(ttf, al)<=1.5sm%/ \n", max_size=30)
    | st.builds(
        lambda text, at, junk: text[: at % len(text)] + junk + text[at % len(text) :],
        assertion_texts(),
        st.integers(0, 1000),
        st.text(max_size=3),
    )
)
def test_no_text_makes_the_parser_raise_anything_but_an_input_error(text: str) -> None:
    try:
        assertion = parse(text)
    except InputError as error:
        complaint = str(error)
    else:
        assert parse(str(assertion)) == assertion
        return
    assert re.match(r"column [0-9]+: expected ", complaint)


# --- Evaluation: 300 arrivals in baseline, 60 in fault, 40 in recovery; fault at 40 s, e2e bound 1 s.

FAULT = FaultWindow("kill", "pod-kill", "exact", 40.0, None, ("r0",), 2, verified=True)
LIFE = (
    Event(-1.0, "replica_ready", "r0"),
    Event(-1.0, "replica_ready", "r1"),
    Event(40.0, "replica_killed", "r0"),
    Event(40.2, "replica_created", "r2"),
    Event(44.0, "replica_ready", "r2"),
)


def row(index: int, intended_s: float, outcome: str = "ok", ttft_s: float = 0.1) -> RequestRecord:
    first_s = intended_s + ttft_s
    return RequestRecord(
        index=index,
        intended_s=intended_s,
        outcome=outcome,
        dispatched_s=intended_s + 0.002,
        token_s=(first_s, first_s + 0.02, first_s + 0.06) if outcome == "ok" else (),
        ended_s=first_s + 0.06 if outcome == "ok" else intended_s + 0.01,
        output_tokens=3,
        replica="r2" if intended_s > 44 else "r1",
    )


def rows_of_a_kill() -> list[RequestRecord]:
    """Ten a second; everything fails for 2 s after the kill; one baseline arrival is slow."""
    instants_s = [index / 10 for index in range(600)]
    return [
        row(index, at_s, "http_503" if 40 <= at_s < 42 else "ok", 0.3 if index == 150 else 0.1)
        for index, at_s in enumerate(instants_s)
    ]


def measured(
    rows: Sequence[RequestRecord], *events: Event, faults: tuple[FaultWindow, ...] = (FAULT,)
) -> Measurements:
    run = Timeline(tuple(rows), events, len(rows), 5.0, 60.0, wanted_replicas=2, faults=faults)
    return measure(run, Objectives(0.5, 1.0), Criteria(window_s=2.0, hold_s=5.0, within_s=12.0))


@pytest.fixture(scope="module")
def kill() -> Measurements:
    return measured(rows_of_a_kill(), *LIFE)


@pytest.mark.parametrize(
    ("text", "verdict", "observed", "n"),
    [
        ("recovery.service <= 15s", Verdict.PASSED, 2.0, None),
        ("recovery.service <= 1999ms", Verdict.DEVIATED, 2.0, None),
        ("recovery.service <= 0s", Verdict.DEVIATED, 2.0, None),
        ("recovery.first_touch <= 2s", Verdict.PASSED, 2.0, None),
        ("recovery.capacity <= 15s", Verdict.PASSED, 4.26, None),
        ("recovery.service_after_end <= 15s", Verdict.INCONCLUSIVE, None, None),
        ("lost_requests == 0", Verdict.DEVIATED, 20, 550),
        ("lost_requests <= 20", Verdict.PASSED, 20, 550),
        ("p99(ttft, baseline) <= 250ms", Verdict.PASSED, 0.1, 340),
        ("p99.9(ttft, baseline) <= 250ms", Verdict.INCONCLUSIVE, 0.3, 340),
        ("max(ttft, baseline) <= 250ms", Verdict.DEVIATED, 0.3, 340),
        ("p50(ttft, fault) <= 1s", Verdict.PASSED, 0.1, 43),
        ("p90(ttft, fault) <= 1s", Verdict.DEVIATED, math.inf, 43),
        ("p95(ttft, fault) <= 1s", Verdict.INCONCLUSIVE, math.inf, 43),
        ("p99(itl, baseline) <= 50ms", Verdict.PASSED, 0.04, 340),
        ("p99(tpot, baseline) <= 30ms", Verdict.PASSED, 0.03, 340),
        ("p99(lag, all) <= 5ms", Verdict.PASSED, 0.002, 550),
        ("p99(e2e, all) < 1s", Verdict.DEVIATED, math.inf, 550),
        ("goodput(baseline) == 100%", Verdict.PASSED, 1.0, 340),
        ("goodput(all) >= 97%", Verdict.DEVIATED, 530 / 550, 550),
        ("goodput_rate(recovery) >= 9.5/s", Verdict.PASSED, 157 / 15.74, 157),
        ("error_ratio(fault) <= 50%", Verdict.PASSED, 20 / 43, 43),
        ("error_ratio(all) < 1%", Verdict.DEVIATED, 20 / 550, 550),
        ("requests(all) == 550", Verdict.PASSED, 550, 550),
        ("outcome(http_503, fault) == 20", Verdict.PASSED, 20, 43),
        ("outcome(http_503, baseline) != 0", Verdict.DEVIATED, 0, 340),
        ("ready(min, fault) >= 1", Verdict.PASSED, 1, None),
        ("ready(min, recovery) > 2", Verdict.DEVIATED, 2, None),
    ],
)
def test_each_term_is_evaluated_on_a_run_worked_out_by_hand(
    kill: Measurements, text: str, verdict: Verdict, observed: float | None, n: int | None
) -> None:
    result = evaluate(parse(text), kill)
    assert (result.expression, result.bound) == (text, parse(text).bound)
    assert result.verdict is verdict
    assert result.observed == (observed if observed is None else pytest.approx(observed))
    assert result.n == n
    assert (result.reason is None) is (verdict is not Verdict.INCONCLUSIVE)


def test_few_samples_are_told_with_how_many_are_needed(kill: Measurements) -> None:
    result = evaluate(parse("p99(ttft, fault) <= 1s"), kill)
    assert result.reason == "p99 needs 299 requests, there are 43"


@pytest.mark.parametrize("text", EXAMPLES)
def test_without_any_data_every_assertion_is_inconclusive_or_counts_what_was_there(text: str) -> None:
    result = evaluate(parse(text), measured([], faults=()))
    if text.startswith("requests"):
        assert (result.verdict, result.observed) == (Verdict.DEVIATED, 0)
    else:
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.reason


def never_recovers() -> Measurements:
    return measured(
        [row(index, index / 10, "ok" if index < 400 else "http_503") for index in range(600)], *LIFE
    )


@pytest.mark.parametrize(
    ("text", "verdict", "observed"),
    [
        pytest.param("recovery.service <= 12s", Verdict.DEVIATED, math.inf, id="all that was observed"),
        pytest.param("recovery.service > 12s", Verdict.PASSED, math.inf, id="the other way round"),
        pytest.param(
            "recovery.service <= 13s", Verdict.INCONCLUSIVE, math.inf, id="beyond what was observed"
        ),
        pytest.param("recovery.first_touch <= 12s", Verdict.DEVIATED, math.inf, id="never touched"),
    ],
)
def test_not_recovered_deviates_from_bounds_that_the_observation_covers(
    text: str, verdict: Verdict, observed: float
) -> None:
    result = evaluate(parse(text), never_recovers())
    assert (result.verdict, result.observed) == (verdict, observed)


def test_a_hold_cut_short_rules_out_the_bounds_before_it() -> None:
    rows = [row(index, index / 10, "http_503" if 400 <= index < 500 else "ok") for index in range(540)]
    run = Timeline(tuple(rows), LIFE, len(rows), 5.0, 54.0, wanted_replicas=2, faults=(FAULT,))
    measurements = measure(run, Objectives(0.5, 1.0), Criteria(window_s=2.0, hold_s=5.0, within_s=12.0))
    assert evaluate(parse("recovery.service <= 9s"), measurements).verdict is Verdict.DEVIATED
    beyond = evaluate(parse("recovery.service <= 11s"), measurements)
    assert (beyond.verdict, beyond.observed) == (Verdict.INCONCLUSIVE, None)
    assert "the plan ended before a hold" in (beyond.reason or "")


def test_no_impact_is_zero_and_passes() -> None:
    result = evaluate(parse("recovery.service <= 0s"), measured([row(i, i / 10) for i in range(600)], *LIFE))
    assert (result.verdict, result.observed) == (Verdict.PASSED, 0.0)

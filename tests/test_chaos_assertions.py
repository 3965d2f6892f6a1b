import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.assertions.grammar import OPERATORS, parse
from chaos.assertions.term import PHASES, Dimension
from chaos.assertions.terms import TERMS
from chaos.errors import InputError
from chaos.measuring.slis import METRICS
from loadtests.rows import OUTCOMES

DOC = (Path(__file__).parent.parent / "docs" / "assertions.md").read_text()


def block(name: str) -> list[str]:
    return "\n".join(re.findall(rf"```{name}\n(.*?)```", DOC, re.DOTALL)).split("\n")


EXAMPLES = [line for line in block("assertions") if line]
REFUSED = [tuple(re.split(r"\s{3,}", line)) for line in block("refused") if line]


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
        ("goodput(all,tenant = a ,profile=chat)>=9%", "goodput(all, profile=chat, tenant=a) >= 9%", 0.09),
        ("p99(queue,fault)<=50% of baseline", "p99(queue, fault) <= 50% of baseline", 0.5),
        ("max(itl, all) <= 0s", "max(itl, all) <= 0s", 0.0),
        ("p95(ttft,after( 30 s ))<=1s", "p95(ttft, after(30s)) <= 1s", 1.0),
        (
            "goodput(after_end(5s,1m)) >= 99 % of  baseline",
            "goodput(after_end(5s, 1m)) >= 99% of baseline",
            0.99,
        ),
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
        (
            "p99(ttft, during) <= 1s",
            r"column 11: expected a phase \(baseline, .* or after_end\), not 'during'",
        ),
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
        ("goodput(after) >= 95%", r"column 14: expected '\(' after after, not '\)'"),
        ("goodput(after(5)) >= 95%", "column 15: expected a duration .* not '5\\)\\)'"),
        ("goodput(after(5s, 5s)) >= 95%", "column 19: expected later than 5s, not '5s'"),
        ("goodput(baseline) >= 95% of baseline", "column 22: expected a bound of its own"),
        ("requests(all) >= 95% of baseline", "column 18: expected a bound of its own"),
        ("goodput(all, customer=a) >= 95%", "column 14: expected profile or tenant=NAME, not 'customer'"),
        ("goodput(all, tenant=a, tenant=b) >= 95%", "column 24: expected profile=NAME, not 'tenant'"),
        ("goodput(all, tenant=) >= 95%", r"column 21: expected the name of a tenant, not '\)"),
        ("goodput(all, tenant a) >= 95%", "column 21: expected '=' after tenant, not 'a"),
        ("ready(min, all, tenant=a) >= 1", r"column 15: expected '\)', not ','"),
        ("p99(queue, all, tenant=a) <= 1s", r"column 15: expected '\)', not ','"),
        ("max(queue, all) <= 1s", r"column 5: expected a metric \(.* or lag\), not 'queue'"),
        ("recovery.service <= 95% of baseline", "column 21: expected a bound of its own"),
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
    Dimension.NUMBER: _NUMBER,
}


_LABEL = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", fullmatch=True)
_QUOTED = st.from_regex(r"'[^']+'|\"[^\"]+\"", fullmatch=True)


@st.composite
def assertion_texts(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*TERMS, "quantile"]))
    signature = TERMS["max" if name == "quantile" else name]
    if name == "quantile":
        name = draw(st.from_regex(r"p[1-9][0-9]?(\.[0-9]{1,2})?", fullmatch=True))
    words = [draw(st.sampled_from(each.choices) if each.choices else _QUOTED) for each in signature.arguments]
    if signature.of_requests:
        labels = draw(st.lists(st.sampled_from(["profile", "tenant"]), unique=True))
        words += [f"{label}{draw(_SPACE)}={draw(_SPACE)}{draw(_LABEL)}" for label in labels]
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

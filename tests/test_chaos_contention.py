"""Which deviations a full machine excuses, and what is told of it beside the verdict."""

import json
from dataclasses import replace

import pytest

from chaos.assertions.grammar import parse
from chaos.assertions.terms import TERMS
from chaos.judging.contention import excused, note, tolerated_share
from chaos.judging.evaluation import evaluate
from chaos.judging.processor_section import section
from chaos.judging.verdict import judge
from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import FULL_SHARE
from chaos.record.observed import CACHE_HITS, AskedSeries
from chaos.record.verdict import Verdict
from tests.support.killed_run import LIFE, measured, rows_of_a_kill
from tests.support.processor_samples import Rates, always, full_from, samples, usage

WHOLE = full_from(-1, 62)
BEFORE = full_from(5, 39)
DURING = full_from(40, 45)
DECIDED = [
    # The assertion, when the machine was full, and what becomes of the deviation.
    ("recovery.service <= 1s", full_from(0, 0), Verdict.DEVIATED),
    ("recovery.service <= 1s", WHOLE, Verdict.INCONCLUSIVE),
    ("recovery.service <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("recovery.service <= 1s", BEFORE, Verdict.INCONCLUSIVE),  # what it is held to
    ("recovery.service <= 1s", full_from(44, 60), Verdict.DEVIATED),  # later than what it measures
    ("recovery.service <= 1s", full_from(20, 23), Verdict.DEVIATED),  # 9 % of the baseline
    ("recovery.service <= 1s", full_from(20, 24), Verdict.INCONCLUSIVE),  # 12 %
    ("recovery.service <= 15s", WHOLE, Verdict.PASSED),
    ("recovery.capacity <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("recovery.capacity <= 1s", full_from(46, 60), Verdict.DEVIATED),
    ("recovery.first_touch <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("lost_requests == 0", DURING, Verdict.INCONCLUSIVE),
    ("lost_requests == 0", BEFORE, Verdict.DEVIATED),
    ("p99(ttft, baseline) <= 50ms", DURING, Verdict.DEVIATED),
    ("p99(ttft, baseline) <= 50ms", BEFORE, Verdict.INCONCLUSIVE),
    (
        "p99(ttft, baseline) <= 50ms",
        full_from(20, 21),
        Verdict.INCONCLUSIVE,
    ),  # 3 % is more than one in a hundred
    ("p50(ttft, baseline) <= 50ms", full_from(20, 21), Verdict.DEVIATED),
    ("max(ttft, baseline) <= 50ms", full_from(20, 21), Verdict.INCONCLUSIVE),
    ("max(ttft, baseline) <= 50ms", DURING, Verdict.DEVIATED),
    ("goodput(fault) >= 90%", DURING, Verdict.INCONCLUSIVE),
    ("goodput(fault) >= 90%", BEFORE, Verdict.DEVIATED),
    ("goodput_rate(fault) >= 9/s", DURING, Verdict.INCONCLUSIVE),
    ("error_ratio(all) <= 1%", DURING, Verdict.DEVIATED),  # 9 % of the run
    ("error_ratio(all) <= 1%", full_from(38, 45), Verdict.INCONCLUSIVE),
    ("outcome(http_503, fault) == 0", DURING, Verdict.INCONCLUSIVE),
    ("disturbances == 0", DURING, Verdict.DEVIATED),  # http_503 was said, and no machine says that
    ("ready(min, fault) >= 2", DURING, Verdict.INCONCLUSIVE),
    ("wrong_answers(fault) == 0", WHOLE, Verdict.DEVIATED),  # no machine makes an answer wrong
    ("requests(all) == 1", WHOLE, Verdict.DEVIATED),  # made by the plan, not by any machine
    ("p99(ttft, fault) <= 50ms", full_from(0, 0), Verdict.DEVIATED),
    ("smooth_goodput(all) >= 99%", DURING, Verdict.DEVIATED),
    ("recovery.cold_start <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("recovery.detection <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("recovery.cache <= 1s", DURING, Verdict.INCONCLUSIVE),
    ("lost_tokens(fault) >= 1", DURING, Verdict.INCONCLUSIVE),
    ("doubled_tokens(fault) >= 1", BEFORE, Verdict.DEVIATED),
    ("promql_max('depth', fault) <= 3", DURING, Verdict.INCONCLUSIVE),
    ("promql_max('depth', fault) <= 3", BEFORE, Verdict.DEVIATED),
    ("promql_min('depth', baseline) >= 5", full_from(20, 21), Verdict.INCONCLUSIVE),
]
DEPTH = {
    "depth": (AskedSeries(points=tuple((float(at_s), 4.0) for at_s in range(61))),),
    CACHE_HITS: (AskedSeries(points=tuple((float(s), 0.1 if 40 <= s < 50 else 0.5) for s in range(61))),),
}


@pytest.fixture(scope="module")
def kill() -> Measurements:
    answered = [
        replace(row, answer="0:wrong" if 42 <= row.intended_s < 43 else "0:right") if row.ok else row
        for row in rows_of_a_kill()
    ]
    return measured(answered, *LIFE)


@pytest.mark.parametrize(
    ("text", "rates", "verdict"), DECIDED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_deviation_is_inconclusive_where_the_machine_was_full_in_what_it_is_about(
    text: str, rates: Rates, verdict: Verdict, kill: Measurements
) -> None:
    assertion = parse(text)
    before = evaluate(assertion, kill, promql=DEPTH)
    after = excused(assertion, before, kill, samples(rates))
    assert after.verdict is verdict
    if after.verdict is before.verdict:
        assert after == before
    else:
        assert (after.observed, after.bound, after.n) == (before.observed, before.bound, before.n)
        assert after.reason is not None
        assert after.reason.startswith("the machine was full for ")
        assert after.reason.endswith("; this measures the machine, not the cluster")


def test_every_term_of_an_assertion_is_decided_on() -> None:
    terms = {parse(text).term.name for text, _, _ in DECIDED}
    assert terms >= TERMS.keys() - {"recovery.service_after_end", "alerts"}


def test_a_disturbance_of_slow_answers_alone_may_be_the_machines() -> None:
    slow = [
        replace(row, outcome="ok", token_s=(row.intended_s + 9,), ended_s=row.intended_s + 9.1)
        if not row.ok
        else row
        for row in rows_of_a_kill()
    ]
    run = measured(slow, *LIFE)
    assertion = parse("disturbances == 0")
    deviated = evaluate(assertion, run)
    assert deviated.verdict is Verdict.DEVIATED
    excuse = excused(assertion, deviated, run, samples(DURING))
    assert excuse.verdict is Verdict.INCONCLUSIVE
    assert "of the disturbance at" in (excuse.reason or "")
    assert excused(assertion, deviated, run, samples(BEFORE)) == deviated


def test_the_reason_says_how_full_and_whose_work_it_was(kill: Measurements) -> None:
    assertion = parse("lost_requests == 0")
    found = samples(full_from(41, 60, replicas=1.5, load=0.12))
    assert excused(assertion, evaluate(assertion, kill), kill, found).reason == (
        "the machine was full for 77% of the fault phase: 1.62 of 2 cores ours, 0.15 somebody else's; "
        "this measures the machine, not the cluster"
    )


def test_without_samples_over_half_of_a_stretch_nothing_is_excused(kill: Measurements) -> None:
    assertion = parse("p99(ttft, baseline) <= 50ms")
    deviated = evaluate(assertion, kill)
    assert excused(assertion, deviated, kill, ()) == deviated
    assert excused(assertion, deviated, kill, samples(WHOLE, until_s=21)) == deviated
    assert excused(assertion, deviated, kill, samples(WHOLE, until_s=23)) != deviated


def test_a_recovery_that_was_never_seen_is_looked_at_for_as_long_as_it_was_waited_for() -> None:
    rows = [
        replace(row, outcome="http_503", token_s=()) if row.intended_s >= 40 else row
        for row in rows_of_a_kill()
    ]
    measurements = measured(rows, *LIFE)
    assertion = parse("recovery.service <= 11s")
    deviated = evaluate(assertion, measurements)
    assert deviated.verdict is Verdict.DEVIATED
    assert excused(assertion, deviated, measurements, samples(full_from(53, 60))) == deviated
    assert excused(assertion, deviated, measurements, samples(full_from(49, 51))) != deviated


def test_one_deviation_that_no_machine_excuses_makes_the_run_deviated(kill: Measurements) -> None:
    found = samples(DURING)

    def verdict(*texts: str) -> Verdict:
        results = [excused(each, evaluate(each, kill), kill, found) for each in map(parse, texts)]
        return judge(kill, results).verdict

    assert verdict("lost_requests == 0", "recovery.service <= 15s") is Verdict.INCONCLUSIVE
    assert verdict("lost_requests == 0", "p99(ttft, baseline) <= 50ms") is Verdict.DEVIATED
    assert verdict("recovery.service <= 15s") is Verdict.PASSED


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("p99(ttft, all) <= 1s", 0.01),
        ("p50(ttft, all) <= 1s", FULL_SHARE),
        ("lost_requests == 0", FULL_SHARE),
    ],
)
def test_a_quantile_tolerates_as_much_full_time_as_it_lets_requests_be_slow(text: str, share: float) -> None:
    assert tolerated_share(parse(text).term) == pytest.approx(share)


def test_the_note_tells_of_every_full_phase_and_details_the_fault(kill: Measurements) -> None:
    def said(rates: Rates) -> str | None:
        found = samples(rates)
        phases = [slis.phase for slis in kill.phases]
        return note([usage(found, kill, phase) for phase in phases])

    assert said(always(busy=1, replicas=0.5)) is None
    assert said(full_from(20, 23)) is None
    assert said(DURING) == (
        "the machine was full for 100% of the fault phase: 0.75 of 2 cores ours, 1.25 somebody else's"
    )
    whole = said(WHOLE)
    assert whole is not None
    assert whole.endswith("; also for 100% of the baseline phase and 100% of the recovery phase")


def test_the_note_names_what_a_quota_and_a_hypervisor_held_back(kill: Measurements) -> None:
    rates = always(busy=1, replicas=0.4, steal=0.25, throttled=0.3)
    said = note([usage(samples(rates, cores=0.5, quota=True), kill)])
    assert said == (
        "the machine was full for 30% of the baseline phase: 0.40 of 0.5 cores ours, 0.60 somebody else's, "
        "0.25 kept by the host, quota used up for 30% of the time"
    )


def test_the_section_has_every_phase_and_a_reason_beside_every_null(kill: Measurements) -> None:
    found = section(samples(DURING, until_s=43), kill)
    assert found is not None
    assert [phase.name for phase in found.phases] == ["baseline", "fault", "all"]
    assert found.unknown == {"recovery": "no samples"}
    assert [phase.full for phase in found.phases] == [False, True, False]
    written = json.loads(found.model_dump_json())
    roles = [role for phase in written["phases"] for role in phase["roles"].values()]
    assert roles
    for part in (written, *written["phases"], *roles):
        assert all(part.get(f"{key}_reason") for key, value in part.items() if value is None)
    assert section((), kill) is None

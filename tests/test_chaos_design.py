"""What a design can show is said, and one that is sure to be inconclusive is refused, before anything is injected."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.experiment.experiment import read_experiment
from chaos.measuring.columns import columns
from chaos.measuring.design import claims, design, requests_s, window_s
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria, Status
from chaos.measuring.timeline import FaultWindow, Timeline
from loadtests.rows import Row
from tests.test_chaos_run import EXPERIMENT, write_experiment

CRITERIA = Criteria(goodput=0.95, error_ratio=0.05, window_s=5.0, hold_s=5.0, within_s=25.0)


@given(rate=st.sampled_from([5.0, 10.0, 20.0, 50.0, 200.0]), baseline_s=st.integers(20, 60))
def test_the_shortest_outage_that_a_design_promises_is_seen_and_one_request_less_is_not(
    rate: float, baseline_s: int
) -> None:
    fault_s, end_s = 5.0 + baseline_s, 5.0 + baseline_s + 40.0
    promised = design(rate, baseline_s, end_s - fault_s, 0.0, CRITERIA)
    assert promised.outage_s is not None
    bad = round(promised.outage_s * rate)
    for fewer, seen in ((0, {Status.RECOVERED}), (1, {Status.NO_IMPACT, Status.UNKNOWN})):
        rows = []
        for index in range(int(end_s * rate)):
            at_s = index / rate
            down = fault_s + 3 - 1e-6 <= at_s < fault_s + 3 - 1e-6 + (bad - fewer) / rate
            rows.append(
                Row(
                    index,
                    at_s,
                    "http_503" if down else "ok",
                    at_s,
                    token_s=() if down else (at_s,),
                    ended_s=at_s,
                )
            )
        kill = FaultWindow("kill", "pod-kill", "exact", fault_s, None, ("r0",), 2, verified=True, id="kill#1")
        run = Timeline(columns(rows), (), len(rows), 5.0, end_s, 2, (kill,))
        found = measure(run, Objectives(1.0, 2.0), CRITERIA).service
        assert found.status in seen
        if found.status is Status.RECOVERED:
            after_s = found.interval_s[1] - (found.value_s or 0.0)
            assert after_s <= promised.proof_s + 2 / rate, "and its end is proved as soon as it says"


def test_a_baseline_that_is_too_short_promises_nothing() -> None:
    assert design(5.0, 4.0, 30.0, 0.0, CRITERIA).outage_s is None
    assert design(5.0, 40.0, 30.0, 0.0, CRITERIA).outage_s is not None


@pytest.mark.parametrize(
    ("requests", "claim"), [(5, None), (6, "P50"), (71, "P90"), (72, "P95"), (368, "P99")]
)
def test_the_highest_claim_that_so_many_requests_hold(requests: int, claim: str | None) -> None:
    assert claims(requests) == claim


def test_windows_and_lengths_follow_the_rate() -> None:
    assert (window_s(200.0), window_s(10.0)) == (2.0, 10.0)
    assert (requests_s(368, 20.0), requests_s(0, 20.0)) == (22, 0.0)


REFUSED = {
    "a baseline that cannot tell noise": (
        ("goodput: 50%", "goodput: 99.9%"),
        "phases.baseline: expected a longer baseline or a higher rate: 400 requests cannot tell noise from a loss",
    ),
    "a baseline of requests in flight": (
        ("baseline: 20s", "baseline: 4s"),
        "phases.baseline: expected above slo.e2e = 4s: what is in flight is not the baseline's, got 4s",
    ),
    "too few requests for a quantile": (
        ("p99(ttft, baseline)", "p99.9(ttft, baseline)"),
        "assertions[2]: expected a plan of at least 3688 requests for p99.9, there are about 400",
    ),
    "too short a stretch for a quantile": (
        ("p99(ttft, baseline)", "p99(ttft, after(10s))"),
        "assertions[2]: expected a plan of at least 368 requests for p99, there are about 250",
    ),
    "a bound below what requests can prove": (
        ("recovery.service <= 18s", "recovery.service <= 50ms"),
        "assertions[0]: expected at least 0.2s: so long requests must be good to prove it",
    ),
    "a bound beyond what is waited for": (
        ("recovery.service <= 18s", "recovery.service <= 19s"),
        "assertions[0]: expected at most recovery.within = 18s: later is not waited for",
    ),
    "an objective beyond the client's patience": (
        ("ttft: 2s, e2e: 4s", "ttft: 11s, e2e: 12s"),
        "slo.ttft: expected at most load.timeouts.ttft = 10s: the client gives up before, got 11s",
    ),
}


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_design_that_is_sure_to_be_inconclusive_is_refused_with_its_line(
    name: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old, new), complaint = REFUSED[name]
    assert old in EXPERIMENT
    path = write_experiment(tmp_path / "in", EXPERIMENT.replace(old, new))
    out = ["--out", str(tmp_path / "out")] if verb == "run" else []
    assert main([verb, str(path), *out]) == ExitCode.WRONG_INPUT
    assert f"{path}:" in (said := capsys.readouterr().err)
    assert complaint in said
    assert not (tmp_path / "out").exists(), "nothing was started"


def test_validate_says_what_a_design_can_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(write_experiment(tmp_path))]) == ExitCode.PASSED
    said = capsys.readouterr().out
    assert "shows an outage of at least 0.08 s" in said
    assert "proves a recovery 0.12 s after its end at the earliest" in said
    assert "can claim P99 in the baseline (400 requests) and P99 in the first 20 s after the fault" in said


def test_a_baseline_that_is_left_out_is_as_long_as_its_claims_need(tmp_path: Path) -> None:
    left_out = EXPERIMENT.replace(" baseline: 20s,", "")
    assert read_experiment(write_experiment(tmp_path / "a", left_out)).spec.phases.baseline_s == 22.0
    slower = left_out.replace("rate: 25", "rate: 10")
    assert read_experiment(write_experiment(tmp_path / "b", slower)).spec.phases.baseline_s == 47.0
    nothing = left_out.replace("p99(ttft, baseline)", "p99(ttft, all)")
    assert read_experiment(write_experiment(tmp_path / "c", nothing)).spec.phases.baseline_s == 20.0

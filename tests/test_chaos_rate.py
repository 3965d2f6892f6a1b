"""A share of the capacity becomes a number, and a number that is too much is told before the baseline."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chaos.assertions.grammar import parse
from chaos.errors import ExitCode
from chaos.experiment.claims import claims_need_s
from chaos.experiment.experiment import read_experiment, rewrite, write_as_run
from chaos.load.capacity import Capacity
from chaos.load.rate import settle
from chaos.measuring.objectives import Objectives
from chaos.reading.quantities import CapacityShare
from chaos.record.load import Capacity as MadeOf
from chaos.report import story
from chaos.steady_state import overloaded
from loadtests.arrivals import instants
from loadtests.rows import Row
from tests.support.simulated_queue import Queue
from tests.test_chaos_run import EXPERIMENT, write_experiment

SHARE = CapacityShare(60.0)
CLAIMS = (parse("p99(ttft, baseline) <= 500ms"), parse("p50(ttft, all) <= 1s"), parse("lost_requests <= 15"))
OBJECTIVES = Objectives(ttft_s=0.5, e2e_s=2.5)
WARMUP_S = 5.0


def measured(per_s: float, *, at_least: bool = False) -> Capacity:
    return Capacity(per_s, at_least, arrivals=140, good=90, took_s=9.87)


@pytest.mark.parametrize(
    ("per_s", "percent", "rate"),
    [
        (25.5, 60.0, 15.3),
        (25.4789, 60.0, 15.3),
        (1.9999, 50.0, 1.0),
        (1234.5, 100.0, 1230.0),
        (3.0, 33.3, 0.999),
    ],
)
def test_the_rate_is_the_share_to_three_digits(
    tmp_path: Path, per_s: float, percent: float, rate: float
) -> None:
    spec = read_experiment(write_experiment(tmp_path)).spec
    settled = settle(spec, CLAIMS, CapacityShare(percent), measured(per_s))
    assert settled.load.rate_per_s == rate
    assert settled.load.capacity is not None
    assert settled.load.capacity.share == pytest.approx(percent / 100)


@pytest.mark.parametrize("rate_per_s", [0.5, 1.2, 6.0, 15.3, 200.0])
def test_the_grown_baseline_holds_the_requests_of_a_p99_claim_in_what_can_be_counted(
    rate_per_s: float,
) -> None:
    baseline_s = claims_need_s(CLAIMS, rate_per_s, e2e_s=2.5)
    short = 0
    for seed in range(40):
        arrivals = instants("poisson", rate_per_s, baseline_s, seed)
        short += sum(at_s < baseline_s - 2.5 for at_s in arrivals) < 368
    assert short <= 1
    assert baseline_s <= math.ceil(430 / rate_per_s + 2.5) + 1, "and not many more"


def test_a_baseline_without_claims_on_it_needs_nothing() -> None:
    assert (
        claims_need_s([parse("p99(ttft, fault) <= 1s"), parse("max(ttft, baseline) <= 1s")], 1.0, 2.5) == 0.0
    )


def test_a_baseline_grows_where_the_rate_is_low_and_stays_where_it_is_not(tmp_path: Path) -> None:
    spec = read_experiment(write_experiment(tmp_path)).spec
    assert spec.phases.baseline_s == 20.0
    low, high = (settle(spec, CLAIMS, SHARE, measured(per_s)) for per_s in (10.0, 100.0))
    assert low.phases.baseline_s > 50
    assert low.load.capacity is not None
    assert low.load.capacity.baseline_grew_from_s == 20.0
    assert high.phases == spec.phases
    assert high.load.capacity is not None
    assert high.load.capacity.baseline_grew_from_s is None


def test_the_copy_as_run_has_the_number_and_what_it_came_from_and_reads_back_the_same(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("rate: 25", "rate: 60% of capacity")
    experiment = read_experiment(write_experiment(tmp_path, text))
    (tmp_path / "out").mkdir()
    copy = write_as_run(experiment, tmp_path / "out" / "experiment.yaml", seed=5, versions={})
    assert copy.spec.load.rate == SHARE
    assert copy.rate_at == f"{tmp_path / 'small.yaml'}:5", "where its author wrote it"
    settled = rewrite(copy, settle(copy.spec, CLAIMS, SHARE, measured(25.5)))
    written = yaml.safe_load((tmp_path / "out" / "experiment.yaml").read_text())
    assert written["load"]["rate"] == 15.3
    assert written["load"]["capacity"] == {
        "measured": 25.5,
        "share": "60%",
        "at_least": False,
        "arrivals": 140,
        "took": "9.9s",
        "baseline_grew_from": "20s",
    }
    (tmp_path / "again").mkdir()
    again = write_as_run(settled, tmp_path / "again" / "experiment.yaml", seed=5, versions={})
    assert again.spec == settled.spec


@pytest.mark.parametrize(
    ("at_least", "by_this_run", "grew_from_s", "expected"),
    [
        (
            False,
            True,
            None,
            "15.3 requests/s: 60 % of the 25.5/s that this cluster carried within the objectives",
        ),
        (True, True, None, "15.3 requests/s: 60 % of the at least 25.5/s that this cluster carried within"),
        (
            False,
            False,
            None,
            "15.3 requests/s: 60 % of the 25.5/s that such a cluster, in another run, carried",
        ),
        (False, True, 28.0, "within the objectives; the baseline grew from 28 s to hold its claims"),
    ],
)
def test_one_sentence_says_the_rate_and_where_it_comes_from(
    *, at_least: bool, by_this_run: bool, grew_from_s: float | None, expected: str
) -> None:
    made_of = MadeOf(
        measured=25.5,
        share=0.6,
        at_least=at_least,
        arrivals=100,
        took_s=8.0,
        baseline_grew_from_s=grew_from_s,
        by_this_run=by_this_run,
    )
    assert expected in story.rate_sentence(15.3, made_of)


def verdict_on(queue: Queue, rate_per_s: float, goodput: float = 0.95, seed: int = 1) -> str | None:
    """What the warm-up looks like when it is over: rows of what has ended, nothing of the rest."""
    offsets_s = instants("poisson", rate_per_s, WARMUP_S, seed)
    ended = [
        row for row in queue.serve(offsets_s, seed) if row.ended_s is not None and row.ended_s <= WARMUP_S
    ]
    return overloaded(ended, offsets_s, WARMUP_S, OBJECTIVES, goodput)


@pytest.mark.parametrize("times", [2.0, 3.0, 5.0, 20.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_rate_far_above_the_capacity_is_seen_in_the_warm_up(times: float, seed: int) -> None:
    queue = Queue(14, 0.7)
    told = verdict_on(queue, times * queue.capacity_per_s, seed=seed)
    assert told is not None
    assert re.fullmatch(r"\d+% of \d+ requests in the later half of the warm-up met the objectives", told)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 0.9])
def test_a_rate_that_is_carried_is_never_taken_for_too_much(share: float) -> None:
    queue = Queue(18, 0.7, spread=0.3)
    assert [verdict_on(queue, share * queue.capacity_per_s, seed=seed) for seed in range(40)] == [None] * 40


@pytest.mark.parametrize("stall", [(0.0, 2.0), (1.5, 2.5), (3.0, 3.7), (4.2, 5.0)], ids=str)
def test_a_slow_start_or_one_stall_is_no_overload(stall: tuple[float, float]) -> None:
    queue = Queue(40, 0.4, stall=stall)
    assert [verdict_on(queue, 25.0, seed=seed) for seed in range(20)] == [None] * 20


def test_a_few_slow_requests_are_no_overload() -> None:
    offsets_s = [index / 20 for index in range(100)]
    rows = Queue(40, 0.4).serve(offsets_s)
    for index in (60, 61, 62, 75, 76):
        rows[index] = Row(index, index / 20, "ok", index / 20, token_s=(index / 20 + 0.9,), ended_s=4.4)
    ended = [row for row in rows if (row.ended_s or 0) <= WARMUP_S]
    assert overloaded(ended, offsets_s, WARMUP_S, OBJECTIVES, 0.95) is None


def test_too_few_requests_tell_nothing() -> None:
    queue = Queue(1, 2.0)
    assert verdict_on(queue, 1.0) is None


def test_a_silent_cluster_is_seen_although_it_has_no_row_to_show() -> None:
    offsets_s = instants("constant", 40.0, WARMUP_S, 1)
    assert overloaded([], offsets_s, WARMUP_S, OBJECTIVES, 0.95) is not None


TOO_FAST = (
    EXPERIMENT.replace("rate: 25,", "rate: 90,")
    .replace("warmup: 1s", "warmup: 4s")
    .replace(
        'DS_TORCH_THREADS: "1"', 'DS_TORCH_THREADS: "1", DS_MAX_RUNNING: "1", DS_MIN_STEP_SECONDS: "0.03"'
    )
    .replace("slo: {ttft: 2s, e2e: 4s}", "slo: {ttft: 800ms, e2e: 2s}")
)
"""Three replicas with one slot each, 0.24 s an answer: less than 13 requests per second."""


def aftershock(path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", "run", str(path), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)


@pytest.mark.slow
def test_a_fixed_rate_that_is_too_much_is_refused_before_the_baseline_with_what_to_write(
    tmp_path: Path,
) -> None:
    path = write_experiment(tmp_path, TOO_FAST)
    done = aftershock(path, tmp_path / "out")
    assert done.returncode == ExitCode.INCONCLUSIVE, done.stderr
    told = " ".join(done.stderr.split())
    assert f"{path}:5: load.rate: the cluster does not carry 90/s, nothing was injected" in told
    found = re.search(r"measured capacity within the objectives: ([\d.]+)/s", told)
    assert found is not None
    assert 1.0 < float(found[1]) < 13.0
    assert "`rate: 60% of capacity`" in told
    assert "baseline" not in re.findall(r"^aftershock: (\S+)", done.stderr, re.MULTILINE)
    assert not (tmp_path / "out" / "state.jsonl").exists()


def test_a_share_becomes_a_number_that_stands_in_file_journal_reports_and_on_the_terminal(
    tmp_path: Path,
) -> None:
    text = TOO_FAST.replace("rate: 90", "rate: 60% of capacity").replace(
        "p99(ttft, baseline)", "p50(ttft, baseline)"
    )
    text = text.replace("within: 18s", "within: 9s").replace("<= 18s", "<= 9s")
    text = text.replace("warmup: 4s, baseline: 20s, observe: 20s", "warmup: 1s, baseline: 1s, observe: 12s")
    out = tmp_path / "out"
    done = aftershock(write_experiment(tmp_path, text), out)
    assert (out / "journal.json").is_file(), done.stderr
    load = json.loads((out / "journal.json").read_text())["load"]
    written = yaml.safe_load((out / "experiment.yaml").read_text())
    assert written["load"]["rate"] == load["rate"] < load["capacity"]["measured"] < 13.0
    assert load["capacity"]["by_this_run"] is True
    assert load["rate"] == pytest.approx(0.6 * load["capacity"]["measured"], rel=0.01)
    assert (load["capacity"]["share"], load["capacity"]["arrivals"] > 0) == (0.6, True)
    assert written["phases"]["baseline"] != "1s", "it grew: five requests take longer than that"
    assert "aftershock: capacity: " in done.stderr
    sentence = f"{load['rate']:g} requests/s: 60 % of the {load['capacity']['measured']:g}/s that this cluster carried"
    assert sentence in done.stderr
    assert sentence in done.stdout
    assert sentence in (out / "summary.md").read_text().replace("\\", "")
    assert sentence in (out / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    problems = json.loads((out / "journal.json").read_text())["reconciliation"]["problems"]
    assert problems == [], "what measured the capacity is counted nowhere"

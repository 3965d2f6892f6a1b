"""From trials to the verdict of a series, its bounds and its reports."""

import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chaos.errors import ExitCode
from chaos.record.trials import Series, Trial, read_series
from chaos.record.verdict import Verdict
from chaos.report.series import junit, page, sentences, summary, write_series_reports
from chaos.report.series.terminal import print_series
from chaos.run_folder import SeriesFolder
from chaos.trials.summarising import summarise
from tests.support.series_records import EXPRESSION, facts, planned, record, trial

PASSED = [trial(number) for number in range(1, 21)]
DEVIATED = trial(21, 20.0, Verdict.DEVIATED)
UNDECIDED = trial(22, None, Verdict.INCONCLUSIVE)
QUIET = [trial(number, 0.0, sham=True) for number in range(31, 41)]
LOUD = [trial(number, 1.0, sham=True) for number in range(41, 45)]


@pytest.mark.parametrize(
    ("trials", "verdict"),
    [
        (PASSED, Verdict.PASSED),
        ([*PASSED, *QUIET], Verdict.PASSED),
        ([*PASSED, DEVIATED], Verdict.DEVIATED),
        ([*PASSED, UNDECIDED, UNDECIDED], Verdict.PASSED),
        ([*PASSED, UNDECIDED, UNDECIDED, UNDECIDED], Verdict.INCONCLUSIVE),
        ([*PASSED, DEVIATED, UNDECIDED, UNDECIDED, UNDECIDED], Verdict.DEVIATED),
        ([UNDECIDED], Verdict.INCONCLUSIVE),
        (QUIET, Verdict.INCONCLUSIVE),
        ([*PASSED, *QUIET, LOUD[0]], Verdict.PASSED),
        ([*PASSED, *QUIET, *LOUD], Verdict.INCONCLUSIVE),
        ([*PASSED, trial(50, 20.0, Verdict.DEVIATED, sham=True)], Verdict.PASSED),
    ],
    ids=[
        "all pass",
        "quiet shams",
        "one deviates",
        "one in ten undecided",
        "more undecided",
        "seen once is seen",
        "none decided",
        "shams alone",
        "one alarm proves no rate",
        "shams cry wolf",
        "a sham is no weakness",
    ],
)
def test_the_verdict_of_a_series(trials: list[Trial], verdict: Verdict) -> None:
    series = record(trials)
    assert series.verdict == verdict
    codes = {Verdict.PASSED: 0, Verdict.DEVIATED: 1, Verdict.INCONCLUSIVE: 3}
    assert series.exit_code == codes[verdict]
    assert bool(series.reasons) >= (verdict == Verdict.INCONCLUSIVE)


def test_twenty_of_twenty_say_how_often_the_next_may_deviate_and_what_a_larger_claim_needs() -> None:
    series = record([*PASSED, *QUIET])
    assert series.counts.deviated_rate_below == pytest.approx(0.1391, abs=1e-4)
    assert series.sentence.startswith("20 of 20 trials passed: fewer than 14 % of such trials deviate")
    assert "0 of 10 shams raised an alarm (rate below 26 %)" in series.sentence
    assert [(claim.needs, claim.met) for claim in series.claims] == [
        (5, True),
        (14, True),
        (29, False),
        (59, False),
        (299, False),
    ]


def test_undecided_trials_are_counted_apart_and_the_worst_that_they_could_be_is_said() -> None:
    series = record([*PASSED, UNDECIDED])
    assert (series.counts.passed, series.counts.inconclusive) == (20, 1)
    assert series.counts.deviated_rate_below == pytest.approx(0.1391, abs=1e-4)
    assert series.counts.deviated_rate_below_at_worst == pytest.approx(0.2067, abs=1e-3)


def test_a_trial_that_never_recovered_is_the_largest_and_never_dropped_nor_averaged() -> None:
    trials = [trial(number, float(number)) for number in range(1, 8)]
    series = record([*trials, trial(8, math.inf, Verdict.DEVIATED), trial(9, math.inf, Verdict.DEVIATED)])
    service = series.recovery("service")
    assert (service.n, service.not_recovered, service.within_s) == (9, 2, 25)
    assert service.median_s == 5
    assert service.largest_s == math.inf
    assert service.median_interval_s == (2.0, math.inf)
    assert service.curve[-1].share == pytest.approx(7 / 9)
    assert "2 of 9 not within 25 s" in series.sentence
    assert "(2 s to > 25 s)" in series.sentence
    assert "inf" not in summary.render(series)


def test_trials_without_an_impact_are_part_of_the_distribution_and_said() -> None:
    series = record([trial(1, 0.0), trial(2, 0.0), trial(3, 4.0)])
    assert series.recovery("service").median_s == 0
    assert "no impact in 2 of 3" in series.sentence
    assert "no impact on service in 2 trials" in record([trial(1, 0.0), trial(2, 0.0)]).sentence


def test_a_trial_says_why_it_did_not_pass() -> None:
    assert (
        sentences.of_trial(PASSED[0])
        == "passed: service 1 s (950 ms to 1.05 s), capacity 1 s (950 ms to 1.05 s), 3 lost"
    )
    assert sentences.of_trial(DEVIATED).endswith(f"3 lost; {EXPRESSION} did not hold")
    assert sentences.of_trial(UNDECIDED).endswith(f"3 lost; {EXPRESSION}: undecided")
    lagging = UNDECIDED.model_copy(update={"reasons": ("the generator lagged",)})
    assert sentences.of_trial(lagging).endswith("3 lost; the generator lagged")
    assert sentences.of_trial(planned(1)) == "not run"


def test_a_value_that_is_unknown_is_counted_and_not_made_up() -> None:
    service = record([*PASSED, UNDECIDED]).recovery("service")
    assert (service.n, service.unknown) == (20, 1)


def test_a_series_that_was_cut_short_never_passes_and_keeps_the_exit_code_of_its_end() -> None:
    series = summarise(facts(), [*PASSED, planned(21)], "interrupted by SIGINT", ExitCode.INTERRUPTED)
    assert (series.verdict, series.exit_code) == (Verdict.INCONCLUSIVE, ExitCode.INTERRUPTED)
    assert series.counts.passed == 20
    assert series.reasons[0] == "interrupted by SIGINT"
    found = summarise(facts(), [DEVIATED, planned(21)], "interrupted by SIGINT", ExitCode.INTERRUPTED)
    assert found.verdict == Verdict.DEVIATED


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    series = record([*PASSED, trial(21, math.inf, Verdict.DEVIATED), *QUIET])
    series.write(tmp_path / "trials.json")
    assert read_series(tmp_path / "trials.json") == series
    assert json.loads((tmp_path / "trials.json").read_text())["recoveries"][0]["largest_s"] == "inf"


HOSTILE = "</td><script>|`*_[x](y) $a$ @you :x: &lt;"


def hostile() -> Series:
    series = record([*PASSED[:3], DEVIATED, UNDECIDED, trial(23, math.inf, Verdict.DEVIATED), *LOUD])
    return series.model_copy(update={"hypothesis": HOSTILE, "reasons": (HOSTILE,), "sentence": HOSTILE})


def test_the_page_draws_a_mark_for_each_trial_and_opens_offline() -> None:
    text = page.render(hostile())
    for name in ("service", "capacity"):
        drawn = text.split(f'id="picture-{name}"')[1].split("</svg>")[0]
        assert len(re.findall('<circle class="mark"', drawn)) == 8
        assert len(re.findall('<path class="mark"', drawn)) == 1
        assert len(re.findall("\N{MULTIPLICATION SIGN}", drawn)) == 1
        assert len(re.findall('class="\\w+ sham"', drawn)) == 4
        assert len(re.findall('<line class="interval"', drawn)) == 8
    assert "<script>" not in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "nan" not in text


def test_the_summary_shows_every_text_as_it_is() -> None:
    text = summary.render(hostile())
    assert r"\</td\>\<script\>\|\`\*\_\[x\](y) <span>$</span>a<span>$</span> <span>@</span>you" in text
    assert "<span>:</span>x: &amp;lt;" in text
    for rows in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows.splitlines()}) == 1


@pytest.mark.parametrize(
    "trials",
    [PASSED, [*PASSED, UNDECIDED], [*PASSED, DEVIATED], [UNDECIDED], [*PASSED, *LOUD, *LOUD]],
    ids=["passed", "passed with one undecided", "deviated", "inconclusive", "false alarms"],
)
def test_junit_is_green_exactly_when_the_exit_code_is_0(trials: list[Trial]) -> None:
    series = record(trials)
    suite = ET.fromstring(junit.render(series).encode()).find("testsuite")
    assert suite is not None
    assert len(suite) == len(trials) + 2
    red = int(suite.get("failures", "")) + int(suite.get("errors", ""))
    assert (red == 0) == (series.exit_code == 0)
    assert int(suite.get("skipped", "")) == series.counts.inconclusive


def test_the_terminal_tells_the_verdict_the_assertion_and_the_next_claim(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w+") as screen:
        print_series(record([*PASSED, *QUIET]), SeriesFolder(tmp_path), screen)
        screen.seek(0)
        told = screen.read()
    assert "✓ PASSED: 20 of 20 trials passed" in told
    assert re.search(rf"{re.escape(EXPRESSION)} +20 +0 +0 +13\.9 %", told)
    assert "needs 29 without a deviation" in told
    assert max(map(len, told.splitlines()[:-1])) <= 80


def test_every_report_is_written_beside_the_record(tmp_path: Path) -> None:
    write_series_reports(SeriesFolder(tmp_path), record(PASSED))
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "summary.md", "junit.xml"}

"""The pictures of a trend: a column per series or run, and a picture per figure that some trial has."""

import json
import math
import re
from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.record.verdict import Verdict
from chaos.report.series.picture import BOTTOM, HEIGHT, TOP
from chaos.run_folder import SeriesFolder
from chaos.trials.loading import read_samples
from chaos.trials.outcome import completed
from chaos.trials.trend import Trend, trend
from chaos.trials.trend_picture import dates, pictures, verdict_bars
from tests.support.series_records import record, trial, write_series

MONDAY, TUESDAY = "2026-01-05T03:00:00+00:00", "2026-01-06T03:00:00+00:00"
FOUR_SECONDS = (3.6, 3.8, 3.9, 4.0, 4.1, 4.4)


def series(folder: Path, at: str, recoveries_s: tuple[float, ...], **figures: float) -> None:
    write_series(folder, recoveries_s, started_at=at)
    trials = [
        trial(number, value, Verdict.DEVIATED if value == math.inf else Verdict.PASSED).model_copy(
            update=figures
        )
        for number, value in enumerate(recoveries_s, 1)
    ]
    record(trials, started_at=at).write(SeriesFolder(folder).trials)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    series(tmp_path / "runs/b", TUESDAY, (math.inf,) * 4 + FOUR_SECONDS[:2], ttft_p99_in_fault_s=math.inf)
    series(tmp_path / "runs/a", MONDAY, FOUR_SECONDS, goodput_in_fault=0.5, ttft_p99_in_fault_s=1.0)
    return tmp_path / "runs"


def found(folder: Path) -> Trend:
    return trend(read_samples([folder]))


def test_a_column_is_a_point_the_oldest_first_and_its_mark_the_median(two: Path) -> None:
    drawn = {one.figure.id: one for one in pictures(found(two))}
    monday, tuesday = drawn["service"].columns
    assert monday.x < tuesday.x
    assert (monday.censored, tuesday.censored) == (False, True)
    assert tuesday.y == TOP
    assert len(monday.trials_y) == 6
    assert monday.y in monday.trials_y
    assert monday.high_y is not None
    assert monday.low_y is not None
    assert monday.high_y < float(monday.y or 0) < monday.low_y  # upwards is less
    assert (monday.verdict, tuesday.verdict) == ("passed", "deviated")
    assert monday.about == f"{MONDAY}: median of 6 trials 3.9 s (3.6 s to 4.4 s), passed"


def test_a_p99_of_few_requests_is_drawn_hollow_and_called_so(tmp_path: Path) -> None:
    few_and_many = {"requests_in_fault": 367, "requests_in_baseline": 368}
    figures = {"ttft_p99_in_fault_s": 1.0, "ttft_p99_in_baseline_s": 1.0, **few_and_many}
    series(tmp_path / "runs/a", MONDAY, FOUR_SECONDS, **figures)
    drawn = {one.figure.id: one for one in pictures(found(tmp_path / "runs"))}
    assert [(name, one.columns[0].weak) for name, one in drawn.items()] == [
        *(("service", False), ("capacity", False), ("ttft", True), ("ttft-baseline", False)),
    ]
    assert "median of 6 trials 1 s * (1 s to 1 s), passed" in drawn["ttft"].columns[0].about
    assert "fewer than the 368 requests that bound a P99" in drawn["ttft"].note
    assert "368" not in drawn["ttft-baseline"].note


def test_a_share_is_drawn_between_nothing_and_all_and_what_no_trial_has_is_no_picture(two: Path) -> None:
    drawn = {one.figure.id: one for one in pictures(found(two))}
    assert drawn["goodput"].columns[0].y == (TOP + HEIGHT - BOTTOM) / 2
    assert drawn["goodput"].columns[1].y is None
    assert "ttft-baseline" not in drawn


def test_bars_are_as_high_as_the_verdicts_are_many(two: Path) -> None:
    whole = HEIGHT - BOTTOM - TOP
    bars = [
        (bar.verdict, round((bar.y - TOP) / whole, 3), round(bar.height / whole, 3))
        for bar in verdict_bars(found(two))
    ]
    assert bars == [("passed", 0.0, 1.0), ("deviated", 0.333, 0.667), ("passed", 0.0, 0.333)]


def test_of_many_points_some_have_a_date_and_each_has_a_place(tmp_path: Path) -> None:
    for day in range(1, 31):
        series(tmp_path / f"{day:02}", f"2026-01-{day:02}T03:00:00+00:00", (4.0,))
    told = dates(found(tmp_path))
    assert len({x for x, _ in told}) == 30
    assert 5 <= sum(bool(text) for _, text in told) <= 10


def test_the_page_is_one_file_that_reaches_for_nothing_and_escapes_what_it_shows(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (two / "b/experiment.yaml").write_text("experiment: kill\nlabel: <script>alert(1)</script>\n")
    page = tmp_path / "trend.html"
    assert main(["trend", str(two), "--html", str(page)]) == ExitCode.PASSED
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "://" not in text
    assert len(re.findall('<svg class="drawing"', text)) == 5
    assert "service recovery: no difference was found" in text
    assert main(["trend", str(two), "--html", str(tmp_path / "none/x.html")]) == ExitCode.WRONG_INPUT
    assert "none/x.html: No such file or directory" in capsys.readouterr().err


def test_a_trial_keeps_how_many_requests_its_figures_rest_on() -> None:
    path = Path(__file__).parents[1] / "docs/data/pod-kill-30-gpu-warm/now-1.json"
    counted = {phase["name"]: phase["n"] for phase in json.loads(path.read_text())["phases"]}
    kept = completed(trial(1, None, Verdict.PASSED), path)
    assert (kept.requests_in_baseline, kept.requests_in_fault) == (counted["baseline"], counted["fault"])
    assert counted["fault"] > 0

"""Two series side by side, and many over time: what is said, and how often it is wrong."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.record.comparison import Finding
from chaos.record.trials import Trial
from chaos.record.verdict import Verdict
from chaos.trials.comparison import MEASURES, differences, holm
from chaos.trials.loading import changes, read_sample
from tests.support.series_records import trial, write_series

RUN_SAMPLE = Path(__file__).parent / "data" / "run-sample"
AROUND_4_S = [3.4, 3.6, 3.7, 3.8, 3.9, 4.0, 4.05, 4.1, 4.2, 4.3, 4.4, 4.6]
AROUND_5_S = [value + 1.0 for value in AROUND_4_S]


def both(folder: Path, a: Sequence[float | None], b: Sequence[float | None], **changes: object) -> list[str]:
    one = write_series(folder / "A", a)
    other = write_series(folder / "B", b, **changes)  # type: ignore[arg-type]
    return [str(one), str(other)]


def test_a_slower_build_is_told_with_the_size_its_interval_and_what_was_unlike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = both(tmp_path, AROUND_4_S, AROUND_5_S, replicas=7)
    (tmp_path / "B/manifest.yaml").write_text("kind: PodChaos\napiVersion: x\nspec: {value: '40'}\n")
    out = tmp_path / "comparison.json"
    assert main(["compare", *folders, "--measure", "service", "--json", str(out)]) == ExitCode.DEVIATED
    told = capsys.readouterr().out
    assert "service recovery: B recovers 1 s later (" in told
    assert "p < 0.001, 12 against 12 trials" in told
    assert "target.local.replicas: 10 -> 7" in told
    assert "fault.manifest.spec.value: 30 -> 40" in told
    assert "seed" not in told
    assert "is survived" not in told
    [found] = json.loads(out.read_text())["differences"]
    assert found["finding"] == "larger"
    assert 0.6 < found["shift_low"] < 1.0 < found["shift_high"] < 1.4
    assert found["ratio"] == pytest.approx(1.25, abs=0.03)


def test_a_faster_build_is_no_weakness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *both(tmp_path, AROUND_5_S, AROUND_4_S)]) == ExitCode.PASSED
    assert "B recovers 1 s earlier" in capsys.readouterr().out


def test_equal_builds_are_told_to_be_indistinguishable_and_what_would_have_been_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = [value + 0.02 for value in AROUND_4_S]
    assert main(["compare", *both(tmp_path, AROUND_4_S, shifted), "--measure", "service"]) == ExitCode.PASSED
    told = " ".join(capsys.readouterr().out.split())
    assert "no difference was found, p = " in told
    assert "12 against 12 trials; one of " in told
    assert "would have been, in 4 of 5 cases" in told
    assert "alike in every setting, manifest and version" in told


def test_so_few_trials_that_nothing_can_be_told_are_inconclusive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *both(tmp_path, [1.0, 2.0, 3.0], [7.0, 8.0, 9.0])]) == ExitCode.INCONCLUSIVE
    assert "nothing can be told by 3 against 3 trials" in capsys.readouterr().out


def test_more_measures_need_more_trials() -> None:
    a, b = ([trial(number, start + number) for number in range(4)] for start in (1.0, 9.0))
    assert [one.finding for one in differences(a, b, ["service"])] == [Finding.LARGER]
    assert {one.finding for one in differences(a, b, tuple(MEASURES))} == {Finding.UNDECIDABLE}


def test_trials_that_never_recovered_are_worse_than_any_that_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    b = [*AROUND_4_S[6:10], *[math.inf] * 8]
    assert main(["compare", *both(tmp_path, AROUND_4_S, b), "--measure", "service"]) == ExitCode.DEVIATED
    told = capsys.readouterr().out
    assert "B recovers later" in told
    assert "0, 8" in told


def test_a_build_that_fails_more_often_is_told_though_its_other_trials_are_the_faster_ones() -> None:
    a = [trial(number, value) for number, value in enumerate(AROUND_4_S)]
    b = [*a[:4], *(trial(number, math.inf, Verdict.DEVIATED) for number in range(8))]
    service, deviated = differences(a, b, ["service", "deviated"])
    assert service.finding == Finding.NONE
    assert deviated.finding == Finding.LARGER
    assert deviated.middle_a == 0
    assert deviated.middle_b == pytest.approx(2 / 3, abs=1e-6)
    assert deviated.sentence.startswith("deviations: B deviates in 66.7 % more of its trials (")
    assert deviated.p == pytest.approx(
        2 * math.comb(12, 8) / math.comb(24, 8), abs=1e-6
    )  # Fisher's exact test, twice one side


def test_a_recovery_later_than_the_other_side_was_watched_counts_as_none(tmp_path: Path) -> None:
    a = [trial(number, math.inf, within_s=10) for number in range(10)]
    b = [trial(number, 12.0 + number, within_s=60) for number in range(10)]
    [found] = differences(a, b, ["service"])
    assert (found.within_s, found.not_recovered_a, found.not_recovered_b) == (10, 10, 10)
    assert found.finding == Finding.NONE


def test_trials_without_a_value_are_left_out_and_counted(tmp_path: Path) -> None:
    [found] = differences([trial(1, None), trial(2)], [trial(3), trial(4)], ["service"])
    assert (found.n_a, found.n_b) == (1, 2)
    [found] = differences([trial(1, None)], [trial(3)], ["service"])
    assert (found.finding, found.middle_a, found.p) == (Finding.UNDECIDABLE, None, 1.0)


def test_p_values_of_several_measures_are_adjusted_as_holm_says() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def simulated(rng: np.random.Generator, median_s: float) -> list[Trial]:
    """20 trials: recovery skewed, some without an impact, some requests lost."""
    return [
        trial(
            number, 0.0 if rng.random() < 0.1 else float(median_s * np.exp(rng.normal(0, 0.12)))
        ).model_copy(update={"lost_requests": int(rng.poisson(5))})
        for number in range(1, 21)
    ]


def test_a_whole_comparison_of_equal_builds_is_wrong_in_at_most_5_of_100(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "chaos.trials.rank_test.detectable", lambda *_: None
    )  # says nothing of p, and takes most of it
    rng, comparisons = np.random.default_rng(21), 300
    wrong = 0
    for _ in range(comparisons):
        found = differences(simulated(rng, 4), simulated(rng, 4), tuple(MEASURES))
        wrong += any(one.finding in (Finding.LARGER, Finding.SMALLER) for one in found)
    assert wrong / comparisons <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / comparisons)


def test_a_whole_comparison_tells_20_percent_apart_with_20_trials_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chaos.trials.rank_test.detectable", lambda *_: None)
    rng, comparisons = np.random.default_rng(22), 100
    found = [differences(simulated(rng, 4), simulated(rng, 4.8), ["service"])[0] for _ in range(comparisons)]
    assert sum(one.finding == Finding.LARGER for one in found) >= 0.9 * comparisons
    assert not any(one.finding == Finding.SMALLER for one in found)


def test_a_run_counts_as_a_series_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(RUN_SAMPLE), str(RUN_SAMPLE)]) == ExitCode.INCONCLUSIVE
    assert "1 against 1" in capsys.readouterr().out


def test_what_is_neither_a_series_nor_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), str(RUN_SAMPLE)]) == ExitCode.WRONG_INPUT
    assert str(tmp_path) in capsys.readouterr().err
    assert main(["trend", str(tmp_path)]) == ExitCode.WRONG_INPUT
    (tmp_path / "trials.json").write_text("{}")
    assert main(["compare", str(tmp_path), str(RUN_SAMPLE)]) == ExitCode.WRONG_INPUT
    assert "trials.json" in capsys.readouterr().err


def test_a_trend_lists_series_by_their_start_and_tells_a_last_one_that_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, recoveries_s in enumerate((AROUND_4_S, AROUND_4_S, AROUND_5_S), 1):
        write_series(tmp_path / f"z{9 - day}", recoveries_s, started_at=f"2026-01-0{day}T00:00:00+00:00")
    assert main(["trend", str(tmp_path)]) == ExitCode.DEVIATED
    told = capsys.readouterr().out
    days = [told.index(f"2026-01-0{day}") for day in (1, 2, 3)]
    assert days == sorted(days)
    assert "service recovery: B recovers" in told
    assert "12 trials" in " ".join(told.split())
    shutil.rmtree(tmp_path / "z6")
    assert main(["trend", str(tmp_path)]) == ExitCode.PASSED


def test_a_trend_of_several_experiments_needs_to_know_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "one", AROUND_4_S)
    write_series(tmp_path / "two", AROUND_4_S, name="delay")
    assert main(["trend", str(tmp_path)]) == ExitCode.WRONG_INPUT
    assert "delay, kill" in capsys.readouterr().err
    assert main(["trend", str(tmp_path), "--experiment", "delay"]) == ExitCode.INCONCLUSIVE
    assert "one point is no trend" in capsys.readouterr().out


def test_a_rate_that_each_run_measures_for_itself_is_no_difference(tmp_path: Path) -> None:
    for name, measured in (("A", 25.0), ("B", 31.5)):
        folder = tmp_path / name
        shutil.copytree(RUN_SAMPLE, folder)
        values = yaml.safe_load((folder / "experiment.yaml").read_text())
        values["load"] |= {"rate": measured * 0.6, "capacity": {"measured": measured, "share": "60%"}}
        (folder / "experiment.yaml").write_text(yaml.safe_dump(values))
    a, b = (read_sample(tmp_path / name) for name in "AB")
    assert changes(a, b) == ()
    assert a.settings["load.rate"] == "60% of capacity"


def test_shams_take_no_part(tmp_path: Path) -> None:
    path = write_series(tmp_path / "A", AROUND_4_S)
    values = json.loads((path / "trials.json").read_text())
    values["trials"] += [{**values["trials"][0], "number": 99, "sham": True}]
    (path / "trials.json").write_text(json.dumps(values))
    assert len(read_sample(path).trials) == 12

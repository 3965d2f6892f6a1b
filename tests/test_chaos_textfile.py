"""What a run came to is a file of series: in its folder, and where a lasting Prometheus is pointed at."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.publishing import textfile
from tests.test_chaos_cli import SHORTER
from tests.test_chaos_run import write_experiment

ROOT = Path(__file__).parents[1]


def nobody(folder: Path) -> Path:
    """An experiment of a service that is not there: its run is cut short, and comes to nothing."""
    text = (ROOT / "chaos/experiments/external.yaml").read_text()
    text = text.replace("../manifests", str(ROOT / "chaos/manifests"))
    experiment = folder / "nobody.yaml"
    experiment.write_text(text.replace("http://127.0.0.1:8000", "http://127.0.0.1:9"))
    return experiment


def series_of(path: Path) -> dict[tuple[str, ...], float]:
    """By name and the values of labels but the experiment's."""
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "experiment")): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


@pytest.mark.slow
def test_a_run_leaves_its_outcome_as_series_that_promtool_accepts_and_says_what_its_journal_does(
    tmp_path: Path,
) -> None:
    out, shown = tmp_path / "out", tmp_path / "node_exporter"
    shown.mkdir()
    experiment = write_experiment(tmp_path / "in", SHORTER)
    code = main(["run", str(experiment), "--out", str(out), "--textfile", str(shown)])
    journal = json.loads((out / "journal.json").read_text())
    assert code == journal["exit_code"]
    found = series_of(out / "run.prom")
    verdicts = {key[1]: value for key, value in found.items() if key[0] == "ds_run_verdict"}
    assert verdicts == {journal["verdict"]: 1}
    for of in ("service", "capacity"):
        value_s = journal["recovery"][f"{of}_s"]
        told_s = found.get(("ds_run_recovery_seconds", of))
        assert told_s == (float("inf") if value_s == "inf" else value_s)
    budgets = {key[1]: left for key, left in found.items() if key[0] == "ds_run_error_budget_left_ratio"}
    planned, failed = journal["load"]["planned"], journal["load"]["planned"] - journal["load"]["ok"]
    assert budgets["availability"] == pytest.approx(1 - failed / (0.01 * planned))
    assert set(budgets) == {"ttft", "e2e", "availability"}
    [published] = shown.iterdir()
    assert published.name == f"aftershock-{journal['experiment']}.prom"
    assert published.read_bytes() == (out / "run.prom").read_bytes()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=published.read_bytes(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_a_run_that_was_cut_short_replaces_the_series_of_the_one_before_and_of_no_other(
    tmp_path: Path,
) -> None:
    experiment = nobody(tmp_path)
    mine, other = tmp_path / "aftershock-external.prom", tmp_path / "aftershock-else.prom"
    for path in (mine, other):
        path.write_text('ds_run_verdict{experiment="x",verdict="passed"} 1\n')
    command = ["run", str(experiment), "--out", str(tmp_path / "out"), "--textfile", str(tmp_path)]
    assert main(command) == ExitCode.INCONCLUSIVE
    journal = json.loads((tmp_path / "out/journal.json").read_text())
    mine = tmp_path / f"aftershock-{journal['experiment']}.prom"
    assert series_of(mine) == {("ds_run_verdict", "inconclusive"): 1}
    assert 'verdict="passed"' in other.read_text()
    assert not [path.name for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_the_series_can_be_read_by_whoever_may_read_new_files_here(tmp_path: Path) -> None:
    """node_exporter runs as somebody else."""
    (tmp_path / "run.prom").write_text("up 1\n")
    textfile.publish(tmp_path / "run.prom", tmp_path, "x")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "aftershock-x.prom").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_folder_that_cannot_take_the_series_is_said_and_no_run_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.prom").write_text("up 1\n")
    textfile.publish(tmp_path / "run.prom", tmp_path / "gone", "x")
    assert "no series were written to" in capsys.readouterr().err


def test_no_folder_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["run", str(nobody(tmp_path)), "--out", str(out), "--textfile", str(tmp_path / "gone")]
    assert main(command) == ExitCode.WRONG_INPUT
    assert "--textfile: expected a folder that can be written, got" in capsys.readouterr().err
    assert not out.exists()


def test_a_series_of_trials_has_no_single_outcome_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(nobody(tmp_path)), "--trials", "2", "--textfile", str(tmp_path)]
    assert main(command) == ExitCode.WRONG_INPUT
    assert "it would show the last trial alone" in capsys.readouterr().err

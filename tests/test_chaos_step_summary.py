"""What a job of GitHub Actions is shown: appended where it asks for it, and every text as it is."""

import re
import shutil
from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.publishing import step_summary
from chaos.report import write_reports
from chaos.report.markdown import code, text
from chaos.run_folder import RunFolder
from tests.test_chaos_report_ci import SAMPLE

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("plain", "markdown"),
    [
        ("costs $5 and $6", "costs <span>$</span>5 and <span>$</span>6"),
        ("ask @octocat", "ask <span>@</span>octocat"),
        (":x: and :+1: and :100:", "<span>:</span>x: and <span>:</span>+1: and <span>:</span>100:"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("<b>a</b>", r"\<b\>a\</b\>"),
        ("a`b`c", r"a\`b\`c"),
        ("a|b", r"a\|b"),
        ("fixes #12, # not a heading", r"fixes <span>#</span>12, \# not a heading"),
        ("*a* _b_ ~c~ [d](e) \\", r"\*a\* \_b\_ \~c\~ \[d\](e) \\"),
        ("one\n\ntwo", "one two"),
        ("at 12:30:05, ratio 3:4", "at 12:30:05, ratio 3:4"),
    ],
)
def test_text_is_shown_as_it_is(plain: str, markdown: str) -> None:
    assert text(plain) == markdown


@pytest.mark.parametrize(
    ("plain", "markdown"),
    [
        ("a <= 1", "`a <= 1`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("a|b", r"`a\|b`"),
        ("$x @y :x:", "`$x @y :x:`"),
    ],
)
def test_code_is_shown_as_it_is(plain: str, markdown: str) -> None:
    assert code(plain) == markdown


def summary(folder: Path) -> Path:
    shutil.copytree(SAMPLE.path, folder / "run")
    write_reports(RunFolder(folder / "run"))
    return folder / "run/summary.md"


def test_a_summary_is_appended_to_what_a_step_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tmp_path / "step summary"
    shown.write_text("# before\n")
    monkeypatch.setenv(step_summary.VARIABLE, str(shown))
    path = summary(tmp_path)
    step_summary.append(path)
    step_summary.append(path)
    told = shown.read_text()
    assert told.startswith("# before\n## ")
    assert len(re.findall(r"^## . PASSED", told, re.MULTILINE)) == 2


@pytest.mark.parametrize("named", [None, ""])
def test_nothing_is_written_where_no_job_asks(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(step_summary.VARIABLE, raising=False)
    if named is not None:
        monkeypatch.setenv(step_summary.VARIABLE, named)
    step_summary.append(tmp_path / "gone.md")
    assert capsys.readouterr().err == ""


def test_a_summary_that_github_would_drop_with_all_others_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = tmp_path / "shown"
    shown.write_text("x" * (step_summary.MOST_BYTES - 100))
    monkeypatch.setenv(step_summary.VARIABLE, str(shown))
    step_summary.append(summary(tmp_path))
    assert shown.stat().st_size == step_summary.MOST_BYTES - 100
    assert "full" in capsys.readouterr().err


@pytest.mark.parametrize("series", [(), ("--trials", "2", "--shams", "1")], ids=["a run", "a series"])
def test_whatever_becomes_of_a_run_or_a_series_is_shown_once(
    series: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tmp_path / "nobody.yaml"
    text = (ROOT / "chaos/experiments/external.yaml").read_text()
    text = text.replace("../manifests", str(ROOT / "chaos/manifests"))
    experiment.write_text(
        text.replace("http://127.0.0.1:8000", "http://127.0.0.1:9")
    )  # where nothing answers
    shown = tmp_path / "shown"
    monkeypatch.setenv(step_summary.VARIABLE, str(shown))
    out = tmp_path / "out"
    assert main(["run", str(experiment), "--out", str(out), *series]) == ExitCode.INCONCLUSIVE
    assert shown.read_text() == (out / "summary.md").read_text() + "\n"
    assert "no service at http" in shown.read_text()


def test_a_file_that_cannot_be_written_is_said_and_harms_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path / "no folder" / "file"))
    step_summary.append(summary(tmp_path))
    assert "no step summary was written" in capsys.readouterr().err

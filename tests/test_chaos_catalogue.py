"""A folder of experiments: what there is to run, what came of it, and the one exit code of all."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chaos import catalogue
from chaos.catalogue import Listed, Outcome
from chaos.cli import main
from chaos.errors import AftershockError, CleanupError, ExitCode, InputError, RefusedError
from chaos.record.journal import Journal
from chaos.report import catalogue as report
from tests.test_chaos_cli import SHORTER
from tests.test_chaos_run import MANIFEST, write_experiment

SHIPPED = Path(__file__).parent.parent / "chaos/experiments"
LACKS = SHORTER.replace("seed: 5", "seed: 5\nneeds: [$AFTERSHOCK_NO_SUCH_VARIABLE]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three experiments, one of which needs what is not there, and files that are none."""
    for name, text in (("a", SHORTER), ("b", LACKS), ("c", SHORTER)):
        write_experiment(tmp_path / "in", text, MANIFEST).rename(tmp_path / "in" / f"{name}.yaml")
    (tmp_path / "in" / "notes.md").write_text("no experiment")
    return tmp_path / "in"


def test_experiments_come_by_name_with_what_the_machine_lacks(folder: Path) -> None:
    found = catalogue.read(folder)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert [one.lacks for one in found] == [(), ("$AFTERSHOCK_NO_SUCH_VARIABLE is not set",), ()]
    assert {one.faults for one in found} == {"PodChaos/pod-kill"}


def test_one_wrong_experiment_is_known_before_any_is_run(folder: Path) -> None:
    (folder / "d.yaml").write_text((folder / "c.yaml").read_text().replace("warmup", "warmpu"))
    with pytest.raises(InputError, match=r"d\.yaml"):
        catalogue.read(folder)


def test_a_folder_without_experiments_is_wrong_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tmp_path)]) == ExitCode.WRONG_INPUT
    assert str(tmp_path) in capsys.readouterr().err


def outcomes_of(folder: Path, ends: Callable[[str], AftershockError]) -> list[Outcome]:
    """A catalogue of which every run ends with an error."""

    def perform(one: Listed) -> Journal:
        raise ends(one.name)

    return catalogue.run(catalogue.read(folder), perform, lambda _: None, lambda _: None)


def test_an_experiment_that_fails_is_no_reason_to_leave_out_the_next(folder: Path) -> None:
    outcomes = outcomes_of(folder, lambda name: RefusedError(f"{name} is unwell"))
    assert [(one.listed.name, one.exit_code, one.why) for one in outcomes] == [
        ("a", ExitCode.INCONCLUSIVE, "a is unwell"),
        ("b", None, "$AFTERSHOCK_NO_SUCH_VARIABLE is not set"),
        ("c", ExitCode.INCONCLUSIVE, "c is unwell"),
    ]


def test_after_an_incomplete_clean_up_nothing_more_is_run(folder: Path) -> None:
    outcomes = outcomes_of(folder, CleanupError)
    assert [one.exit_code for one in outcomes] == [ExitCode.CLEANUP_INCOMPLETE, None, None]
    assert outcomes[2].why == "the clean-up of a was incomplete"
    assert catalogue.exit_code(outcomes) == ExitCode.CLEANUP_INCOMPLETE


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([0, None, 0], 0),
        ([0, 3, 1], 1),
        ([0, 3, 4], 4),
        ([3, 0], 3),
        ([1, 2], 2),
        ([1, 5], 5),
        ([None], 3),
        ([], 3),
    ],
)
def test_the_exit_code_is_the_worst_and_nothing_run_shows_nothing(
    folder: Path, codes: list[int | None], worst: int
) -> None:
    one = catalogue.read(folder)[0]
    outcomes = [Outcome(one, None if code is None else ExitCode(code), None, "") for code in codes]
    assert catalogue.exit_code(outcomes) == worst


def test_junit_has_a_case_each_and_a_skip_only_for_what_was_not_run(folder: Path) -> None:
    outcomes = outcomes_of(folder, lambda name: RefusedError(f"{name} is <unwell>\0"))
    suite = ET.fromstring(report.junit(outcomes))[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("skipped")) == ("3", "2", "1")
    tags = [(case.get("name"), [child.tag for child in case]) for case in suite]
    assert tags == [("a", ["error"]), ("b", ["skipped"]), ("c", ["error"])]
    assert "a is <unwell>" in str(suite[0][0].get("message"))


def test_every_shipped_experiment_is_listed_and_lists_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", str(SHIPPED), "--list"]) == ExitCode.PASSED
    shown = capsys.readouterr().out
    for path in SHIPPED.glob("*.yaml"):
        assert re.search(rf"^{path.stem}  ", shown, re.MULTILINE), path.stem
    assert "can run here, under load for" in shown


def test_list_and_dry_run_write_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert main(["run", str(folder), "--list"]) == ExitCode.PASSED
    assert main(["run", str(folder / "a.yaml"), "--dry-run"]) == ExitCode.PASSED
    assert main(["run", str(folder / "a.yaml"), "--list"]) == ExitCode.WRONG_INPUT
    assert [path.name for path in folder.parent.iterdir()] == ["in"]


def test_a_folder_is_run_to_one_summary(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.yaml").unlink()
    code = main(["run", str(folder), "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert re.search(r"^a .*PodChaos/pod-kill", shown, re.MULTILINE)
    assert re.search(r"^b .*not run", shown, re.MULTILINE)
    assert (tmp_path / "out/a/report.html").is_file()
    assert not (tmp_path / "out/b").exists()
    suite = ET.parse(tmp_path / "out/junit.xml").getroot()[0]
    assert [case.get("name") for case in suite] == ["a", "b"]
    assert (code == ExitCode.PASSED) == (suite.get("failures") == suite.get("errors") == "0")
    assert "| a | PodChaos/pod-kill |" in (tmp_path / "out/summary.md").read_text()

"""`pytest DIR` on experiments: which files are tests, and what each verdict comes to. A pytest of its own each time."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from xml.etree import ElementTree as ET

import pytest

from chaos import pytest_plugin
from chaos.record.journal import Journal
from tests.support.quick_experiment import QUICK
from tests.support.scripted_server import ScriptedServer
from tests.test_chaos_report_ci import SAMPLE
from tests.test_chaos_run import MANIFEST

ROOT = Path(__file__).parent.parent


def ran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A pytest as somebody's who has aftershock installed; the entry point may not be, in a half-made environment."""
    command = [sys.executable, "-m", "pytest", "-p", "no:aftershock", "-p", "chaos.pytest_plugin"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )


def collected(folder: Path, *arguments: str) -> list[str]:
    done = ran(folder, "--collect-only", "-q", *arguments)
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_pytest_finds_this_plugin_by_itself() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert re.search(
        r"^\[project\.entry-points\.pytest11\]\naftershock = \"chaos\.pytest_plugin\"", text, re.MULTILINE
    )


def test_every_shipped_experiment_is_a_test_with_its_own_name() -> None:
    names = [path.stem for path in (ROOT / "chaos/experiments").glob("*.yaml")]
    expected = {f"chaos/experiments/{name}.yaml::{name}" for name in names}
    assert set(collected(ROOT, "chaos/experiments")) == expected
    assert collected(ROOT, "chaos/experiments", "-k", "delay") == [
        "chaos/experiments/network-delay.yaml::network-delay"
    ]


@pytest.mark.parametrize("named", [("tests/test_chaos_words.py",), ("tests/data",), ("chaos",), (".",), ()])
def test_an_experiment_that_nobody_named_is_no_test(named: tuple[str, ...], tmp_path: Path) -> None:
    for folder in ("tests/data/run", "chaos/experiments"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "experiment.yaml").write_text(QUICK)
    (tmp_path / "tests/test_chaos_words.py").write_text("def test_a():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    assert not [item for item in collected(tmp_path, *named) if ".yaml" in item]


def test_a_folder_in_testpaths_is_named(tmp_path: Path) -> None:
    (tmp_path / "shaken").mkdir()
    (tmp_path / "shaken/one.yml").write_text(QUICK)
    (tmp_path / "shaken/kill.yaml").write_text(MANIFEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = shaken\n")
    assert collected(tmp_path) == ["shaken/one.yml::one"]


def test_the_suite_of_this_repository_runs_no_experiment() -> None:
    done = ran(ROOT, "--collect-only", "-q", "--ignore-glob=*.py")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert 'testpaths = ["tests"]' in (ROOT / "pyproject.toml").read_text()


WATCHED = """\
experiment: watched
hypothesis: The service answers.
target: {external: {url: URL}}
load: {rate: 20, arrivals: constant, output_tokens: 4}
phases: {warmup: 500ms, baseline: 0s, observe: 3s}
faults: []
slo: {ttft: 5s, e2e: 10s}
recovery: {window: 1s, hold: 1s, within: 1s}
assertions: [requests(all) >= 20]
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> "tuple[subprocess.CompletedProcess[str], Path]":
    """Four experiments in a folder of somebody's, under a time limit that is none of theirs."""
    folder = tmp_path_factory.mktemp("somebody")
    (folder / "shaken").mkdir()
    with ScriptedServer() as server:
        text = WATCHED.replace("URL", server.url("ok"))
        texts = {
            "holds": text,
            "weak": text.replace(">= 20", ">= 9999"),
            "unknown": WATCHED.replace("URL", "http://127.0.0.1:9"),  # where nothing answers
            "wrong": text.replace("rate: 20", "raet: 20"),
        }
        for name, text in texts.items():
            (folder / f"shaken/{name}.yaml").write_text(text)
        return ran(
            folder, "shaken", "--junitxml=junit.xml", "-o", "timeout=1", "-o", "junit_logging=no"
        ), folder


def test_passed_passes_and_everything_else_fails_by_its_name(
    judged: "tuple[subprocess.CompletedProcess[str], Path]",
) -> None:
    done, _ = judged
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed, 1 passed" in done.stdout
    assert re.search(r"deviated: nothing disturbed the service", done.stdout)
    assert re.search(r"requests\(all\) >= 9999: deviated, observed \d+, bound 9999", done.stdout)
    assert re.search(r"inconclusive: .*127\.0\.0\.1:9", done.stdout)
    assert re.search(r"wrong input: .*wrong\.yaml:\d+: load\.ra", done.stdout)
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("changes", "raised", "word"),
    [
        ({}, None, ""),
        ({"verdict": "deviated", "exit_code": 1}, pytest_plugin.Deviated, ""),
        ({"verdict": "inconclusive", "exit_code": 3}, pytest_plugin.Undecided, "inconclusive"),
        ({"verdict": "inconclusive", "exit_code": 4}, pytest_plugin.Undecided, "aborted"),
    ],
    ids=["passed", "deviated", "inconclusive", "aborted"],
)
def test_what_a_journal_says_is_what_the_test_comes_to(
    changes: dict[str, object], raised: type[Exception] | None, word: str
) -> None:
    values = {**json.loads(SAMPLE.journal.read_text()), **changes}
    if values["verdict"] != "passed":
        values["assertions"][0].update(verdict=values["verdict"], reason="it was seen")
        values["reasons"] = ["it was seen"]
    journal = Journal.model_validate(values)
    item = SimpleNamespace(user_properties=[])
    judge = partial(pytest_plugin.ExperimentItem._judge, cast("pytest_plugin.ExperimentItem", item))
    if raised is None:
        judge(journal, SAMPLE)
    else:
        with pytest.raises(raised, match=r"report\.html") as found:
            judge(journal, SAMPLE)
        assert getattr(found.value, "word", "") == word
    assert ("verdict", str(journal.verdict)) in item.user_properties


def test_junit_names_each_experiment_with_its_figures(
    judged: "tuple[subprocess.CompletedProcess[str], Path]",
) -> None:
    _, folder = judged
    cases = {case.get("name"): case for case in ET.parse(folder / "junit.xml").iter("testcase")}
    assert set(cases) == {"holds", "weak", "unknown", "wrong"}
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    assert failed == {"weak", "unknown", "wrong"}
    found = {one.get("name"): one.get("value") for one in cases["holds"].iter("property")}
    assert (found["verdict"], found["exit_code"]) == ("passed", "0")
    assert (folder / str(found["run"]) / "report.html").is_file()


def test_each_experiment_leaves_a_run_folder(judged: "tuple[subprocess.CompletedProcess[str], Path]") -> None:
    _, folder = judged
    names = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "runs").iterdir())
    assert names == ["holds", "unknown", "weak"]
    shutil.rmtree(folder / "runs")

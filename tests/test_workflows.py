"""The workflows of GitHub Actions: they are YAML, they run what is there, and nothing in them moves by itself."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli import _parser

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_tests_and_a_nightly_run() -> None:
    assert [path.stem for path in WORKFLOWS] == ["nightly", "tests"]
    nightly = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
    # YAML 1.1 reads the key `on` as true.
    assert nightly[True]["schedule"][0]["cron"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_major_version_and_may_only_read(path: Path) -> None:
    uses = [step["uses"] for step in steps(path) if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in uses)
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_is_one_of_this_repository(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in (shlex.split(step["run"]) for step in steps(path) if "run" in step):
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", makefile, re.MULTILINE)
        elif command[0].endswith("aftershock"):
            given = _parser().parse_args(["5" if word == "$TRIALS" else word for word in command[1:]])
            assert (ROOT / given.experiment).is_file()
        else:
            assert command[:3] == [".venv/bin/python", "-m", "pytest"]
            assert (ROOT / command[3]).is_dir()


def test_what_a_nightly_run_finds_is_kept_whatever_its_verdict() -> None:
    kept = [
        step for step in steps(ROOT / ".github/workflows/nightly.yml") if "upload" in step.get("uses", "")
    ]
    assert [step["if"] for step in kept] == ["always()", "always()"]
    assert all("runs/" in step["with"]["path"] for step in kept)

"""The workflows of GitHub Actions: they are YAML, they run what is there, and nothing in them moves by itself."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli import _parser

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
ACTIONS = re.compile(
    r"actions/[a-z-]+@v\d+"
    # Those that install a program: the program's version is said beside it.
    r"|azure/setup-helm@v\d+|helm/kind-action@v\d+\.\d+\.\d+"
)


NIGHT = (ROOT / ".ci/nightly-chaos").read_text()
NIGHT_STEPS = next(re.finditer(r"^STEPS=\((.+)\)", NIGHT, re.MULTILINE))[1].split()


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_tests_and_two_nightly_runs() -> None:
    assert [path.stem for path in WORKFLOWS] == ["nightly-chaos", "nightly", "tests"]
    for path in WORKFLOWS[:2]:
        # YAML 1.1 reads the key `on` as true.
        assert yaml.safe_load(path.read_text())[True]["schedule"][0]["cron"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_major_version_and_may_only_read(path: Path) -> None:
    uses = [step["uses"] for step in steps(path) if "uses" in step]
    assert uses
    assert [each for each in uses if not ACTIONS.fullmatch(each)] == []
    installs = [
        step["with"]
        for step in steps(path)
        if step.get("uses", "").partition("/")[0] != "actions" and "uses" in step
    ]
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", each["version"]) for each in installs)
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_is_one_of_this_repository(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in (shlex.split(step["run"]) for step in steps(path) if "run" in step):
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", makefile, re.MULTILINE)
            if command[1] == "nightly-chaos":
                assert command[2].removeprefix("STEP=") in NIGHT_STEPS
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


def test_the_night_against_kubernetes_is_what_make_does_step_by_step() -> None:
    commands = [step["run"] for step in steps(ROOT / ".github/workflows/nightly-chaos.yaml") if "run" in step]
    asked = [command.partition("STEP=")[2] for command in commands if "STEP=" in command]
    # A hosted runner is thrown away, and its cluster with it.
    assert asked == [step for step in NIGHT_STEPS if step not in ("delete", "all")]


def test_the_nodes_of_the_night_are_pinned_by_their_digests() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/nightly-chaos.yaml").read_text())["jobs"]["catalogue"]
    nodes = job["strategy"]["matrix"]["node"]
    assert all(re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", node) for node in nodes)
    assert f"NODE_IMAGE:-{nodes[0]}}}" in NIGHT
    assert re.search(r"^CHAOS_MESH_VERSION=\d+\.\d+\.\d+$", NIGHT, re.MULTILINE)


def test_what_the_night_found_is_said_and_kept_whatever_its_verdict() -> None:
    found = {
        step.get("run", step.get("uses")): step.get("if")
        for step in steps(ROOT / ".github/workflows/nightly-chaos.yaml")
    }
    assert found["make nightly-chaos STEP=findings"] == "!cancelled()"
    assert found["make nightly-chaos STEP=collect"] == "failure()"
    assert found["actions/upload-artifact@v4"] == "always()"


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".ci/nightly-chaos"], ids=lambda path: path.name)
def test_no_address_stands_in_a_workflow(path: Path) -> None:
    assert not re.search(r"https?://|oci://", path.read_text())
